//! `openrtmp service`: the server as a service of the operating system.
//!
//! What is done is a list of steps, made of the files in `platforms/`, so that it can be shown
//! before it is done, also for another system than this.

mod linux;
mod macos;
pub(crate) mod notify;
#[cfg(windows)]
pub(crate) mod scm;
pub(crate) mod sockets;
mod step;
mod windows;

use std::path::{Path, PathBuf};

use self::step::Step;
use crate::console::print;
use crate::exit::Failure;

/// What a new file of settings says.
const SETTINGS: &str = include_str!("../../../../platforms/openrtmp.yaml");

/// Flags of `openrtmp service`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    /// One of several servers on this machine, with settings of its own in NAME.yaml
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: what would be done there [default: this system]
    #[arg(long, value_enum, requires = "dry_run")]
    system: Option<System>,
}

/// What to do with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Action {
    /// Make it start with the system. Settings that are there stay as they are
    Install,
    /// Stop it, and start it no more. Settings and state stay
    Uninstall,
    /// Start it
    Start,
    /// Stop it; publishers have 30 s to leave
    Stop,
    /// Tell whether it runs
    Status,
}

/// A kind of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum System {
    /// A unit of systemd
    Linux,
    /// A daemon of launchd
    Macos,
    /// A service of the service control manager
    Windows,
}

/// A service to be.
#[derive(Clone, Debug)]
struct Service {
    /// The program.
    program: PathBuf,
    /// `None` for the only one.
    name: Option<String>,
}

/// It is a part of files' and units' names.
fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match (1..=64).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a name is of 1 to 64 letters, digits, - and _".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let here = this_system();
    let Some(system) = arguments.system.or(here) else {
        return Err(Failure::Usage(
            "services are known of Linux with systemd, macOS and Windows".to_owned(),
        ));
    };
    let service = Service {
        program: program(system, here)?,
        name: arguments.name.clone(),
    };
    let steps = plan(system, arguments.action, &service).map_err(Failure::Usage)?;
    if arguments.dry_run {
        let told: Vec<String> = steps.iter().map(ToString::to_string).collect();
        print(&format!("{}\n", told.join("\n")));
        return Ok(());
    }
    for step in &steps {
        step.take().map_err(Failure::Runtime)?;
    }
    Ok(())
}

fn this_system() -> Option<System> {
    if cfg!(target_os = "linux") {
        Some(System::Linux)
    } else if cfg!(target_os = "macos") {
        Some(System::Macos)
    } else if cfg!(windows) {
        Some(System::Windows)
    } else {
        None
    }
}

/// This program; of another system, where it usually is.
fn program(system: System, here: Option<System>) -> Result<PathBuf, Failure> {
    if here == Some(system) {
        let own = std::env::current_exe().and_then(|path| path.canonicalize());
        return own.map_err(|e| Failure::Runtime(format!("cannot find this program: {e}")));
    }
    Ok(PathBuf::from(match system {
        System::Linux => "/usr/bin/openrtmp",
        System::Macos => "/usr/local/bin/openrtmp",
        System::Windows => r"C:\Program Files\OpenRTMP\openrtmp.exe",
    }))
}

fn plan(system: System, action: Action, service: &Service) -> Result<Vec<Step>, String> {
    match system {
        System::Linux => linux::plan(action, service),
        System::Macos => Ok(macos::plan(action, service)),
        System::Windows => Ok(windows::plan(action, service)),
    }
}

impl Service {
    /// Of its file of settings, without its folder.
    fn settings(&self) -> String {
        format!("{}.yaml", self.name.as_deref().unwrap_or("openrtmp"))
    }

    fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// A folder of its own below this, if it is one of several.
    fn below(&self, folder: &str) -> String {
        match &self.name {
            Some(name) => Path::new(folder).join(name).display().to_string(),
            None => folder.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(system: System, action: Action, name: Option<&str>) -> String {
        let service = Service {
            program: program(system, None).expect("a path"),
            name: name.map(str::to_owned),
        };
        let steps = plan(system, action, &service).expect("a plan");
        let told: Vec<String> = steps.iter().map(ToString::to_string).collect();
        told.join("\n")
    }

    #[test]
    fn each_system_has_a_plan_for_each_action() {
        for system in [System::Linux, System::Macos, System::Windows] {
            for action in [
                Action::Install,
                Action::Uninstall,
                Action::Start,
                Action::Stop,
                Action::Status,
            ] {
                for name in [None, Some("studio")] {
                    let told = told(system, action, name);
                    assert!(!told.is_empty());
                    assert_eq!(told.contains("studio"), name.is_some(), "{told}");
                    assert!(!told.contains('@') || system == System::Linux, "{told}");
                }
            }
        }
    }

    #[test]
    fn what_is_installed_keeps_settings_and_names_the_program() {
        let linux = told(System::Linux, Action::Install, Some("studio"));
        for part in [
            "unless it is there: /etc/openrtmp/studio.yaml",
            "write /etc/systemd/system/openrtmp@.service",
            "ExecStart=/usr/bin/openrtmp serve --config /etc/openrtmp/%i.yaml",
            "systemctl enable openrtmp@studio.service",
        ] {
            assert!(linux.contains(part), "{part}\n{linux}");
        }
        let macos = told(System::Macos, Action::Install, Some("studio"));
        for part in [
            "write /Library/LaunchDaemons/org.openrtmp.studio.plist",
            "<string>/usr/local/bin/openrtmp</string>",
            "<string>/etc/openrtmp/studio.yaml</string>",
            "<string>org.openrtmp.studio</string>",
            "launchctl bootstrap system",
        ] {
            assert!(macos.contains(part), "{part}\n{macos}");
        }
        let windows = told(System::Windows, Action::Install, Some("studio"));
        for part in [
            "sc.exe create openrtmp-studio",
            r"C:\ProgramData\OpenRTMP\studio.yaml",
            "netsh.exe advfirewall firewall add rule",
            r"EventLog\Application\openrtmp-studio",
        ] {
            assert!(windows.contains(part), "{part}\n{windows}");
        }
        let started = told(System::Windows, Action::Start, None);
        assert_eq!(
            started,
            "start the service openrtmp, and wait until it serves"
        );
    }

    #[test]
    fn a_name_is_fit_for_files_and_units() {
        assert_eq!(parse_name("studio-2"), Ok("studio-2".to_owned()));
        for wrong in ["", "a/b", "../a", "a b", "a@b", "a.b", &"a".repeat(65)] {
            parse_name(wrong).expect_err(wrong);
        }
    }
}
