import Foundation
import XCTest

@testable import OpenRTMP

/// A device that does what a test says, and remembers what it was ordered.
final class FakeDevice: DeviceSystem {
    private let (heard, ear) = AsyncStream.makeStream(of: DeviceSignal.self)
    private let (orders, order) = AsyncStream.makeStream(of: DeviceOrder.self)

    func signals() -> AsyncStream<DeviceSignal> { heard }
    func obey(_ order: DeviceOrder) async { self.order.yield(order) }

    func tell(_ signal: DeviceSignal) { ear.yield(signal) }

    /// The next order that fits.
    func ordered(_ fits: (DeviceOrder) -> Bool) async throws -> DeviceOrder {
        for await order in orders where fits(order) { return order }
        throw Late()
    }
}

final class DeviceTests: XCTestCase {
    func testLeftBehindWithSomebodyConnected() async throws {
        try await served(settings(["mobile.background": "grace"])) { server in
            let device = FakeDevice()
            let link = DeviceLink(server, system: device)
            let (reports, events) = (link.reports(), server.events())
            let port = try server.port()
            let publisher = try Ffmpeg.publish(server.url("live/cam"), seconds: 300)
            _ = try await events.next(.streamPublished)
            _ = try await device.ordered { if case .keepAwake(true, _, _) = $0 { true } else { false } }

            device.tell(.background(remaining: .seconds(30)))
            _ = try await device.ordered { $0 == .backgroundTask(true) }
            device.tell(.remainingTime(.seconds(20)))
            let remaining = try await events.next(.remainingTime)
            XCTAssertEqual(remaining.number, 20_000)
            // At the margin the link suspends, without being asked by anybody else.
            device.tell(.remainingTime(.seconds(4)))
            let suspended = try await reports.first { if case .suspended = $0 { true } else { false } }
            guard case .suspended(let report) = suspended else { return }
            XCTAssertEqual(report.listeners, 1)
            XCTAssertEqual(report.closed, 1)
            _ = try await device.ordered { $0 == .backgroundTask(false) }
            try await publisher.finish(checked: false)
            let refused = try Ffmpeg.publish(server.url("live/cam"), seconds: 1)
            try await refused.finish(checked: false)
            XCTAssertTrue(refused.said.contains("refused"), refused.said)

            device.tell(.resume(away: .seconds(100)))
            device.tell(.foreground)
            _ = try await events.next(.resumed)
            XCTAssertEqual(try server.port(), port)
            let again = try Ffmpeg.publish(server.url("live/cam"), seconds: 1)
            _ = try await events.next(.streamPublished)
            try await again.finish()
            withExtendedLifetime(link) {}
        }
    }

    func testLeftWithNobodyConnected() async throws {
        try await served { server in
            let device = FakeDevice()
            let link = DeviceLink(server, system: device)
            let reports = link.reports()
            device.tell(.background(remaining: nil))
            _ = try await reports.first { if case .suspended = $0 { true } else { false } }
            device.tell(.resume(away: .zero))
            let resumed = try await reports.first { if case .resumed = $0 { true } else { false } }
            guard case .resumed(let report) = resumed else { return }
            XCTAssertEqual(report.remade, 1)
            XCTAssertEqual(report.failed, 0)
            withExtendedLifetime(link) {}
        }
    }

    func testEverySignalArrives() async throws {
        try await served(settings(["mobile.background": "app"])) { server in
            let device = FakeDevice()
            let link = DeviceLink(server, system: device)
            let events = server.events()
            device.tell(.power(isLow: true, isIdle: false, thermal: .serious))
            let power = try await events.next(.power)
            XCTAssertTrue(power.flag)
            device.tell(.memory(.critical))
            let memory = try await events.next(.memory)
            XCTAssertEqual(memory.number, 2)
            device.tell(.permission(.localNetwork, .denied))
            let permission = try await events.next(.permission)
            XCTAssertEqual(permission.text, "local_network")
            let health = try await server.health()
            XCTAssertFalse(health.isReady)
            // Without memory nobody new is let in either.
            XCTAssertEqual(health.reasons.count, 2)
            device.tell(.permission(.localNetwork, .granted))
            let networks = [
                DeviceNetwork(name: "pdp_ip0", kind: .cellular, flags: .default),
                DeviceNetwork(name: "lo", kind: .wifi, flags: .metered, addresses: ["127.0.0.1", "::1"]),
            ]
            device.tell(.networks(networks))
            _ = try await events.next(.cellularUsed)
            let reachable = try server.reachableURLs(including: .loopback)
            XCTAssertEqual(reachable.map(\.kind), [.wifi])
            XCTAssertEqual(reachable.map(\.isMetered), [true])
            device.tell(.networks([]))
            device.tell(.audio(isActive: true))
            device.tell(.service(.refused))
            _ = try await events.next(.service)
            device.tell(.background(remaining: .seconds(3)))
            let left = try await events.next(.background)
            XCTAssertEqual(left.number, 3000)
            XCTAssertEqual(left.text, "app")
            device.tell(.foreground)
            _ = try await events.next(.foreground)
            withExtendedLifetime(link) {}
        }
    }

    func testSignalsInEveryOrder() async throws {
        // Suspended and back, in front and left, stopped and started, in an order that a
        // generator says. Whatever it was, the server serves when all is well again.
        for seed in 1...12 as ClosedRange<UInt64> {
            var random = Generator(state: seed)
            let server = try RTMPServer(try settings(["streams.republish_grace": "1s"]))
            let plan = (0..<25).map { _ in Int.random(in: 0..<11, using: &random) }
            try await inTime {
                let device = FakeDevice()
                let link = DeviceLink(server, system: device)
                let reports = link.reports()
                try await server.start()
                var told = 0
                var isRunning = true
                for step in plan {
                    switch step {
                    case 0: device.tell(.suspend(within: .milliseconds(200)))
                    case 1: device.tell(.suspend(within: .zero))
                    case 2: device.tell(.resume(away: .seconds(5)))
                    case 3: device.tell(.background(remaining: .seconds(10)))
                    case 4: device.tell(.foreground)
                    case 5: device.tell(.networks([]))
                    case 6: device.tell(.networks([DeviceNetwork(name: "lo", kind: .wifi, flags: .default)]))
                    case 7: device.tell(.remainingTime(.seconds(1)))
                    case 8: device.tell(.refresh(within: .seconds(2)))
                    default:
                        // While suspended, too.
                        if isRunning {
                            try await server.stop(grace: .zero)
                        } else {
                            try await server.start()
                        }
                        isRunning.toggle()
                        continue
                    }
                    told += 1
                }
                if !isRunning { try await server.start() }
                device.tell(.memory(.normal))
                device.tell(.networks([DeviceNetwork(name: "lo", kind: .wifi, flags: .default)]))
                device.tell(.resume(away: .zero))
                // All before it were handed on by then; a suspension by order may be beside, and
                // is taken back.
                device.tell(.foreground)
                device.tell(.audio(isActive: false))
                _ = try await reports.first { $0 == .told(.audio(isActive: false)) }
                let events = server.events()
                while true {
                    try Task.checkCancellation()
                    let publisher = try Ffmpeg.publish(server.url("live/cam"), seconds: 1, quickly: true)
                    try await publisher.finish(checked: false)
                    if publisher.said.isEmpty { break }
                }
                _ = try await events.next(.streamPublished)
                try await server.stop(grace: .zero)
                withExtendedLifetime(link) {}
            }
        }
    }

    func testAnOrderToSuspendIsStaleOnceTheProgramIsBack() async throws {
        try await served { server in
            let tie = Tie(server: server, system: FakeDevice())
            let reports = tie.reports.stream(limit: 16)
            await tie.hand(on: .background(remaining: .seconds(30)))
            await tie.suspendNow()
            await tie.hand(on: .resume(away: .seconds(1)))
            await tie.hand(on: .foreground)
            // Ordered before, and late.
            await tie.suspendNow()
            tie.reports.finish()
            var suspensions = 0
            for await report in reports {
                if case .suspended = report { suspensions += 1 }
            }
            XCTAssertEqual(suspensions, 1)
            let health = try await server.health()
            XCTAssertTrue(health.isReady, "\(health)")
        }
    }

    func testARefreshEndsInTimeAndOnce() async throws {
        try await served { server in
            let device = FakeDevice()
            let link = DeviceLink(server, system: device)
            device.tell(.refresh(within: .seconds(20)))
            let ended = try await device.ordered { if case .refreshEnded = $0 { true } else { false } }
            XCTAssertEqual(ended, .refreshEnded(success: true))
            // No time at all: it is told all the same.
            device.tell(.refresh(within: .zero))
            _ = try await device.ordered { if case .refreshEnded = $0 { true } else { false } }
            try await server.stop(grace: .zero)
            device.tell(.refresh(within: .seconds(20)))
            let failed = try await device.ordered { if case .refreshEnded = $0 { true } else { false } }
            XCTAssertEqual(failed, .refreshEnded(success: false))
            withExtendedLifetime(link) {}
        }
    }

    func testWhatIsRefusedIsTold() async throws {
        let server = try RTMPServer(try settings())
        try await inTime {
            let device = FakeDevice()
            let link = DeviceLink(server, system: device)
            let reports = link.reports()
            device.tell(.suspend(within: .milliseconds(100)))
            let report = try await reports.first { _ in true }
            guard case .refused(.suspend, let error) = report else { return XCTFail("\(report)") }
            XCTAssertEqual(error.code, .state)
            withExtendedLifetime(link) {}
        }
    }

    func testALinkThatIsLetGoOfHandsNothingOn() async throws {
        try await served { server in
            let device = FakeDevice()
            var link: DeviceLink? = DeviceLink(server, system: device)
            let reports = try XCTUnwrap(link?.reports())
            link = nil
            for await _ in reports { XCTFail("it is gone") }
            device.tell(.suspend(within: .milliseconds(100)))
            XCTAssertEqual(try server.state, .running)
            let health = try await server.health()
            XCTAssertTrue(health.isReady)
        }
    }

    func testWhatIsAdvertised() async throws {
        let server = try RTMPServer(try settings(["mobile.advertise": true, "listen": ["0.0.0.0:0"]]))
        try await inTime {
            let device = FakeDevice()
            let link = DeviceLink(server, system: device)
            try await server.start()
            let order = try await device.ordered { if case .advertise(.some) = $0 { true } else { false } }
            guard case .advertise(let advertisement?) = order else { return }
            XCTAssertEqual(advertisement.port, try server.port())
            XCTAssertEqual(advertisement.text, "v=1 app=live tls=0")
            device.tell(.suspend(within: .milliseconds(100)))
            // A registration does not live through it.
            _ = try await device.ordered { $0 == .advertise(nil) }
            try await server.stop(grace: .zero)
            withExtendedLifetime(link) {}
        }
    }
}

/// Numbers that a seed says (SplitMix64).
struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
