//! Units of systemd.

use std::path::{Path, PathBuf};

use super::step::{Step, attempt, run};
use super::{Action, SETTINGS, Service};

/// Where administrators have their units.
const UNITS: &str = "/etc/systemd/system";

/// Where packages have theirs: then they are not written again.
const PACKAGED: &str = "/usr/lib/systemd/system";

const FOLDER: &str = "/etc/openrtmp";

/// The program as the units have it.
const PROGRAM: &str = "/usr/bin/openrtmp";

/// Folders that a service does not see (`ProtectHome=`, `PrivateTmp=`).
const UNSEEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

const FILES: [(&str, &str); 3] = [
    (
        "openrtmp.service",
        include_str!("../../../../platforms/linux/openrtmp.service"),
    ),
    (
        "openrtmp@.service",
        include_str!("../../../../platforms/linux/openrtmp@.service"),
    ),
    (
        "openrtmp.socket",
        include_str!("../../../../platforms/linux/openrtmp.socket"),
    ),
];

/// The user that the server is.
const USERS: &str = include_str!("../../../../platforms/linux/openrtmp.sysusers");
const USERS_FILE: &str = "/etc/sysusers.d/openrtmp.conf";

pub(super) fn plan(action: Action, service: &Service) -> Result<Vec<Step>, String> {
    let unit = match &service.name {
        Some(name) => format!("openrtmp@{name}.service"),
        None => "openrtmp.service".to_owned(),
    };
    let is_packaged = Path::new(PACKAGED).join("openrtmp.service").exists()
        && service.program == Path::new(PROGRAM);
    Ok(match action {
        Action::Install => {
            if let Some(folder) = UNSEEN.iter().find(|f| service.program.starts_with(f)) {
                let program = service.program();
                return Err(format!(
                    "a service does not see {folder}: copy {program} to /usr/local/bin, and \
                     install it from there"
                ));
            }
            install(service, &unit, is_packaged)
        }
        Action::Uninstall => uninstall(service, &unit, is_packaged),
        Action::Start => vec![run(&["systemctl", "start", &unit])],
        Action::Stop => vec![run(&["systemctl", "stop", &unit])],
        Action::Status => vec![run(&["systemctl", "status", "--no-pager", &unit])],
    })
}

fn install(service: &Service, unit: &str, is_packaged: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if !is_packaged {
        steps.push(Step::Folder("/etc/sysusers.d".into()));
        steps.push(Step::Write {
            path: USERS_FILE.into(),
            text: USERS.to_owned(),
        });
        steps.push(run(&["systemd-sysusers", USERS_FILE]));
        steps.extend(FILES.map(|(name, text)| Step::Write {
            path: Path::new(UNITS).join(name),
            text: text.replace(PROGRAM, &service.program()),
        }));
    }
    let settings = Path::new(FOLDER).join(service.settings());
    let shown = settings.display().to_string();
    // Keys stand there.
    steps.extend([
        run(&[
            "install", "-d", "-m", "0750", "-o", "root", "-g", "openrtmp", FOLDER,
        ]),
        Step::WriteNew {
            path: settings,
            text: SETTINGS.to_owned(),
        },
        run(&["chgrp", "openrtmp", &shown]),
        run(&["chmod", "0640", &shown]),
        run(&["systemctl", "daemon-reload"]),
        run(&["systemctl", "enable", unit]),
    ]);
    steps
}

fn uninstall(service: &Service, unit: &str, is_packaged: bool) -> Vec<Step> {
    let mut steps = vec![attempt(&["systemctl", "disable", "--now", unit])];
    // Other servers of this machine have the same units.
    if service.name.is_none() && !is_packaged {
        steps.push(attempt(&[
            "systemctl",
            "disable",
            "--now",
            "openrtmp.socket",
        ]));
        let paths = FILES.map(|(name, _)| Path::new(UNITS).join(name));
        steps.extend(paths.map(Step::Remove));
        steps.push(Step::Remove(PathBuf::from(USERS_FILE)));
        steps.push(run(&["systemctl", "daemon-reload"]));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_has_the_same_unit_but_for_its_name() {
        let [(_, one), (_, several), _] = FILES;
        let named = one
            .replace(
                "Description=OpenRTMP server",
                "Description=OpenRTMP server %i",
            )
            .replace(
                "/etc/openrtmp/openrtmp.yaml",
                "/etc/openrtmp/%i.yaml --control /run/openrtmp-%i/ctl.sock",
            )
            .replace("StateDirectory=openrtmp", "StateDirectory=openrtmp/%i")
            .replace("RuntimeDirectory=openrtmp", "RuntimeDirectory=openrtmp-%i")
            .replace("in /var/lib/openrtmp:", "in /var/lib/openrtmp/%i:");
        assert_eq!(several, named);
    }

    #[test]
    fn a_program_that_a_service_does_not_see_is_refused() {
        let service = Service {
            program: "/home/ann/openrtmp".into(),
            name: None,
        };
        let error = plan(Action::Install, &service).expect_err("not seen");
        assert!(error.contains("/home"), "{error}");
    }
}
