//! The server as a service of Windows: what the service control manager starts, asks and is
//! told, and asked for.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use log::LevelFilter;
use windows_service::service::{
    ServiceAccess, ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState,
    ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult, ServiceStatusHandle,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use super::step::Wish;
use crate::exit::Failure;
use crate::signal::Stop;
use crate::{logs, serve};

/// Flags of `openrtmp service-main`, as `openrtmp service install` writes them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MainArguments {
    /// What the service, and its source in the event log, are called
    #[arg(long, value_name = "NAME")]
    pub(crate) service_name: String,
    #[command(flatten)]
    serve: serve::Arguments,
}

impl MainArguments {
    /// The same with the level of `--log`.
    pub(crate) fn with_level(self, level: Option<LevelFilter>) -> MainArguments {
        MainArguments {
            serve: self.serve.with_level(level),
            ..self
        }
    }
}

/// Until the next step is done, while it starts or stops: above the time that publishers have
/// to leave.
const PATIENCE: Duration = Duration::from_secs(45);

/// What the service's main function is to do: it is handed nothing.
static MAIN: OnceLock<(MainArguments, Stop)> = OnceLock::new();

/// To whom the service's state is told.
static STATUS: OnceLock<ServiceStatusHandle> = OnceLock::new();

define_windows_service!(ffi_service_main, service_main);

/// Serves until the service control manager wants it to stop.
pub(crate) fn run(arguments: &MainArguments, stop: &Stop) -> Result<(), Failure> {
    // Once per process.
    let _ = MAIN.set((arguments.clone(), stop.clone()));
    service_dispatcher::start(&arguments.service_name, ffi_service_main).map_err(|error| {
        Failure::Usage(format!(
            "it is for the service control manager to start: {error}"
        ))
    })
}

fn service_main(_: Vec<OsString>) {
    let Some((arguments, stop)) = MAIN.get() else {
        return;
    };
    let asked = stop.clone();
    let handler = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            asked.ask();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    match service_control_handler::register(&arguments.service_name, handler) {
        Ok(handle) => drop(STATUS.set(handle)),
        Err(error) => return log::error!("the service control manager does not listen: {error}"),
    }
    report(ServiceState::StartPending, ServiceExitCode::NO_ERROR);
    let code = match serve::run(&arguments.serve, stop) {
        Ok(()) => ServiceExitCode::NO_ERROR,
        Err(failure) => {
            let (code, message) = failure.told();
            log::error!("{message}");
            ServiceExitCode::ServiceSpecific(code.into())
        }
    };
    // The process may end with that.
    logs::finish();
    report(ServiceState::Stopped, code);
}

/// What is told to service managers in the words of systemd.
pub(super) fn tell(state: &str) {
    if state.starts_with("READY=1") {
        report(ServiceState::Running, ServiceExitCode::NO_ERROR);
    } else if state.starts_with("STOPPING=1") {
        report(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
    }
}

fn report(state: ServiceState, exit_code: ServiceExitCode) {
    // A server that is no service.
    let Some(handle) = STATUS.get() else { return };
    let is_pending = matches!(
        state,
        ServiceState::StartPending | ServiceState::StopPending
    );
    let controls_accepted = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    let told = handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code,
        checkpoint: u32::from(is_pending),
        wait_hint: if is_pending { PATIENCE } else { Duration::ZERO },
        process_id: None,
    });
    if let Err(error) = told {
        log::warn!("the service control manager cannot be told {state:?}: {error}");
    }
}

/// How often it is looked whether a service has come to where it is to be.
const LOOK: Duration = Duration::from_millis(100);

/// How long that may take: longer than a service says that a step of its takes.
const LONGEST: Duration = Duration::from_secs(60);

/// Has the service control manager do it, and waits until it is done.
pub(super) fn control(wish: Wish, name: &str) -> Result<(), String> {
    let failed = |error| match error {
        windows_service::Error::Winapi(error) => format!("{name}: {error}"),
        error => format!("{name}: {error}"),
    };
    let manager = ServiceManager::local_computer(None::<&OsStr>, ServiceManagerAccess::CONNECT);
    let access = ServiceAccess::START | ServiceAccess::STOP | ServiceAccess::QUERY_STATUS;
    let service = manager.and_then(|manager| manager.open_service(name, access));
    let service = service.map_err(failed)?;
    let asked = match wish {
        Wish::Started => service.start::<&OsStr>(&[]),
        Wish::Stopped => service.stop().map(drop),
        Wish::Ended
            if service.query_status().map_err(failed)?.current_state == ServiceState::Stopped =>
        {
            Ok(())
        }
        Wish::Ended => service.stop().map(drop),
    };
    asked.map_err(failed)?;
    let begun = Instant::now();
    let (state, code) = loop {
        let status = service.query_status().map_err(failed)?;
        let is_settled = match status.current_state {
            ServiceState::Stopped => true,
            // Whoever is asked to stop runs until it has heard that.
            ServiceState::StartPending => false,
            _ => wish == Wish::Started,
        };
        if is_settled || begun.elapsed() > LONGEST {
            break (status.current_state, status.exit_code);
        }
        thread::sleep(LOOK);
    };
    match (wish, state) {
        (Wish::Started, ServiceState::Running) => Ok(()),
        (Wish::Stopped | Wish::Ended, ServiceState::Stopped) => Ok(()),
        (Wish::Started, ServiceState::Stopped) => {
            let (ServiceExitCode::Win32(code) | ServiceExitCode::ServiceSpecific(code)) = code;
            Err(format!(
                "{name} ended at once, with code {code}; its log has the reason: the event log, \
                 unless its settings say otherwise"
            ))
        }
        (_, state) => Err(format!("{name} is {state:?} still")),
    }
}
