/// A value of a document of settings, of a metric or an event: what JSON has.
public enum SettingValue: Codable, Sendable, Equatable {
    case null
    case bool(Bool)
    /// Durations are milliseconds, sizes bytes.
    case int(Int64)
    case double(Double)
    case text(String)
    case list([SettingValue])
    case group([String: SettingValue])

    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let int = try? value.decode(Int64.self) {
            self = .int(int)
        } else if let double = try? value.decode(Double.self) {
            self = .double(double)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([SettingValue].self) {
            self = .list(list)
        } else {
            self = .group(try value.decode([String: SettingValue].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        case .int(let int): try value.encode(int)
        case .double(let double): try value.encode(double)
        case .text(let text): try value.encode(text)
        case .list(let list): try value.encode(list)
        case .group(let group): try value.encode(group)
        }
    }

    /// The value if it is a number without fraction.
    public var int: Int64? { if case .int(let value) = self { value } else { nil } }

    /// The value if it is true or false.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The value if it is a text.
    public var text: String? { if case .text(let value) = self { value } else { nil } }

    /// The value if it is a list.
    public var list: [SettingValue]? { if case .list(let value) = self { value } else { nil } }

    /// The value if it is a group.
    public var group: [String: SettingValue]? { if case .group(let value) = self { value } else { nil } }

    /// What a group has by this name; `nil` for anything else.
    public subscript(name: String) -> SettingValue? { group?[name] }

    subscript(path: ArraySlice<Substring>) -> SettingValue? {
        get {
            guard let first = path.first else { return self }
            return group?[String(first)]?[path.dropFirst()]
        }
        set {
            guard let first = path.first.map(String.init) else {
                self = newValue ?? .null
                return
            }
            var group = group ?? [:]
            if path.count == 1 {
                group[first] = newValue
            } else {
                var inner = group[first] ?? .group([:])
                inner[path.dropFirst()] = newValue
                group[first] = inner
            }
            self = .group(group)
        }
    }
}

extension SettingValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(arrayLiteral elements: SettingValue...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, SettingValue)...) {
        self = .group(Dictionary(elements) { $1 })
    }
}
