//! Daemons of launchd.

use std::path::{Path, PathBuf};

use super::step::{Step, attempt, run};
use super::{Action, SETTINGS, Service};

const PLIST: &str = include_str!("../../../../platforms/macos/org.openrtmp.plist");

/// What stands in it for the only server of a machine.
const LABEL: &str = "org.openrtmp";
const PROGRAM: &str = "/usr/local/bin/openrtmp";
const STATE: &str = "/var/lib/openrtmp";
const LOG: &str = "/var/log/openrtmp.log";
const FOLDER: &str = "/etc/openrtmp";
const USER: &str = "daemon";

pub(super) fn plan(action: Action, service: &Service) -> Vec<Step> {
    let label = match &service.name {
        Some(name) => format!("{LABEL}.{name}"),
        None => LABEL.to_owned(),
    };
    let plist = PathBuf::from(format!("/Library/LaunchDaemons/{label}.plist"));
    let target = format!("system/{label}");
    match action {
        Action::Install => install(service, &label, plist),
        Action::Uninstall => vec![
            attempt(&["launchctl", "bootout", &target]),
            Step::Remove(plist),
        ],
        Action::Start => vec![run(&["launchctl", "kickstart", &target])],
        // It stays loaded, and is not started again after it left by itself.
        Action::Stop => vec![run(&["launchctl", "kill", "SIGTERM", &target])],
        Action::Status => vec![run(&["launchctl", "print", &target])],
    }
}

fn install(service: &Service, label: &str, plist: PathBuf) -> Vec<Step> {
    let settings = Path::new(FOLDER).join(service.settings());
    let state = service.below(STATE);
    let log = match &service.name {
        Some(name) => format!("/var/log/openrtmp-{name}.log"),
        None => LOG.to_owned(),
    };
    let text = |value: &str| format!("<string>{}</string>", escaped(value));
    let filled = PLIST
        .replace(&text(LABEL), &text(label))
        .replace(&text(PROGRAM), &text(&service.program()))
        .replace(
            &text("/etc/openrtmp/openrtmp.yaml"),
            &text(&settings.display().to_string()),
        )
        .replace(&text(STATE), &text(&state))
        .replace(&text(LOG), &text(&log));
    let (shown, path) = (settings.display().to_string(), plist.display().to_string());
    vec![
        run(&[
            "install", "-d", "-m", "0750", "-o", "root", "-g", USER, FOLDER,
        ]),
        run(&[
            "install", "-d", "-m", "0750", "-o", USER, "-g", USER, &state,
        ]),
        Step::WriteNew {
            path: settings,
            text: SETTINGS.to_owned(),
        },
        run(&["chgrp", USER, &shown]),
        run(&["chmod", "0640", &shown]),
        // launchd opens it as the user.
        run(&["touch", &log]),
        run(&["chown", USER, &log]),
        Step::Write {
            path: plist,
            text: filled,
        },
        run(&["launchctl", "bootstrap", "system", &path]),
    ]
}

/// As XML has it.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_one_of_several_is_its_own() {
        let service = Service {
            program: "/opt/a&b/openrtmp".into(),
            name: Some("studio".to_owned()),
        };
        let steps = plan(Action::Install, &service);
        let text = steps.iter().find_map(|step| match step {
            Step::Write { text, .. } => Some(text),
            _ => None,
        });
        let text = text.expect("a list of properties");
        for part in [
            "<string>org.openrtmp.studio</string>",
            "<string>/opt/a&amp;b/openrtmp</string>",
            "<string>/etc/openrtmp/studio.yaml</string>",
            "<string>/var/lib/openrtmp/studio</string>",
            "<string>/var/log/openrtmp-studio.log</string>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        for shared in [LABEL, PROGRAM, STATE, LOG, "/etc/openrtmp/openrtmp.yaml"] {
            assert!(
                !text.contains(&format!("<string>{shared}</string>")),
                "{shared}"
            );
        }
    }
}
