//! Services of the service control manager.

use super::step::{Step, Wish, attempt, run};
use super::{Action, SETTINGS, Service};

/// Settings and state.
const FOLDER: &str = r"C:\ProgramData\OpenRTMP";

/// As whom it runs: nobody who may change the machine.
const ACCOUNT: &str = r"NT AUTHORITY\LocalService";

/// Where sources of the event log are told of.
const SOURCES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application";

/// Has the words for any event: those that come with it.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";

/// What the service is called.
pub(super) fn name(service: &Service) -> String {
    match &service.name {
        Some(name) => format!("openrtmp-{name}"),
        None => "openrtmp".to_owned(),
    }
}

pub(super) fn plan(action: Action, service: &Service) -> Vec<Step> {
    let name = name(service);
    let source = format!(r"{SOURCES}\{name}");
    let rule = format!("name={name}");
    match action {
        Action::Install => install(service, &name, &source, &rule),
        Action::Uninstall => vec![
            Step::Control(Wish::Ended, name.clone()),
            run(&["sc.exe", "delete", &name]),
            attempt(&[
                "netsh.exe",
                "advfirewall",
                "firewall",
                "delete",
                "rule",
                &rule,
            ]),
            attempt(&["reg.exe", "delete", &source, "/f"]),
        ],
        Action::Start => vec![Step::Control(Wish::Started, name)],
        Action::Stop => vec![Step::Control(Wish::Stopped, name)],
        Action::Status => vec![run(&["sc.exe", "query", &name])],
    }
}

fn install(service: &Service, name: &str, source: &str, rule: &str) -> Vec<Step> {
    let settings = format!(r"{FOLDER}\{}", service.settings());
    let program = service.program();
    // What Rust calls a canonical path, nobody else understands.
    let program = program.strip_prefix(r"\\?\").unwrap_or(&program);
    let command = format!(
        "\"{program}\" service-main --service-name {name} --config \"{settings}\" --stop-timeout 30s"
    );
    let program_rule = format!("program={program}");
    vec![
        Step::Folder(FOLDER.into()),
        // Keys stand there: for administrators, the system and the service alone.
        run(&[
            "icacls.exe",
            FOLDER,
            "/inheritance:r",
            "/grant:r",
            "*S-1-5-32-544:(OI)(CI)F",
            "*S-1-5-18:(OI)(CI)F",
            "*S-1-5-19:(OI)(CI)M",
        ]),
        Step::WriteNew {
            path: settings.into(),
            text: SETTINGS.to_owned(),
        },
        run(&[
            "sc.exe",
            "create",
            name,
            "binPath=",
            &command,
            "start=",
            "auto",
            "obj=",
            ACCOUNT,
            "DisplayName=",
            name,
        ]),
        // A service without these serves as well.
        attempt(&["sc.exe", "description", name, "OpenRTMP server"]),
        attempt(&[
            "sc.exe",
            "failure",
            name,
            "reset=",
            "86400",
            "actions=",
            "restart/1000/restart/5000/restart/30000",
        ]),
        run(&[
            "netsh.exe",
            "advfirewall",
            "firewall",
            "add",
            "rule",
            rule,
            "dir=in",
            "action=allow",
            "protocol=TCP",
            &program_rule,
        ]),
        run(&[
            "reg.exe",
            "add",
            source,
            "/v",
            "EventMessageFile",
            "/t",
            "REG_EXPAND_SZ",
            "/d",
            MESSAGES,
            "/f",
        ]),
        run(&[
            "reg.exe",
            "add",
            source,
            "/v",
            "TypesSupported",
            "/t",
            "REG_DWORD",
            "/d",
            "7",
            "/f",
        ]),
    ]
}
