//! The `_INIT` macros of the header, made from its structs: a field that is added is set
//! by being there.

use std::fmt::Write;

/// Fields that do not begin as 0: struct, field, value.
const BEGIN_AS: [(&str, &str, &str); 2] = [
    ("openrtmp_log_callbacks", "max_level", "OPENRTMP_LOG_INFO"),
    ("openrtmp_relay", "idle_timeout_ms", "30000"),
];

/// `line_length` of cbindgen.toml.
const WIDTH: usize = 90;

/// A macro for each struct of the header that a caller sizes: its first field is described
/// as its `sizeof`.
pub(crate) fn macros(header: &str) -> String {
    let mut made = String::new();
    for (owner, begun, _) in BEGIN_AS {
        let (_, fields) = header
            .split_once(&format!("typedef struct {owner} {{"))
            .unwrap();
        let (fields, _) = fields.split_once(&format!("}} {owner};")).unwrap();
        assert!(
            fields.contains(&format!(" {begun};")),
            "{owner} has no {begun}"
        );
    }
    for rest in header.split("typedef struct ").skip(1) {
        let Some((name, rest)) = rest.split_once(" {") else {
            continue;
        };
        let size = format!("sizeof({name})");
        let Some((fields, _)) = rest
            .split_once(&format!("}} {name};"))
            .filter(|(fields, _)| fields.trim_start().starts_with(&format!("// {size}.")))
        else {
            continue;
        };
        let mut line = "    { (uint32_t) ".to_owned() + &size;
        let mut lines = String::new();
        for value in values(name, fields).iter().skip(1) {
            line.push(',');
            // Room for a space, the value, and " \" or " }".
            if line.len() + value.len() + 3 > WIDTH {
                lines += &format!("{line} \\\n");
                line = "     ".to_owned();
            }
            write!(line, " {value}").unwrap();
        }
        let short = name
            .trim_start_matches("openrtmp_")
            .trim_end_matches("_table");
        let short = short.to_uppercase();
        writeln!(made, "#define OPENRTMP_{short}_INIT \\\n{lines}{line} }}").unwrap();
    }
    made
}

/// What each field of a struct begins as.
fn values(name: &str, fields: &str) -> Vec<String> {
    let code = fields
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join(" ");
    let fields = code
        .split(';')
        .map(str::trim)
        .filter(|field| !field.is_empty());
    let value = |field: &str| {
        let given = BEGIN_AS
            .iter()
            .find(|(owner, begun, _)| *owner == name && field.ends_with(&format!(" {begun}")));
        match given {
            Some((_, _, value)) => *value,
            None if field.contains('*') => "NULL",
            None if field.starts_with("openrtmp_str ") => "{ NULL, 0 }",
            None => "0",
        }
    };
    fields.map(|field| value(field).to_owned()).collect()
}
