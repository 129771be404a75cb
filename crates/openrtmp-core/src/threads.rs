//! The threads of the library, all begun here: with a stack of a known size, without the
//! program's signals, known to the host's hooks and to the log by their server.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use crate::sync::lock;

/// Bytes of each thread's stack, callbacks included.
pub const THREAD_STACK: usize = 2 << 20;

/// What the host does on each thread of the library, for a runtime that has to know the
/// threads that call into it.
struct Hooks {
    begin: Box<dyn Fn(&str) + Send + Sync>,
    end: Box<dyn Fn(&str) + Send + Sync>,
}

static HOOKS: Mutex<Option<Arc<Hooks>>> = Mutex::new(None);

/// Calls `begin` first and `end` last on every thread that the library starts from now
/// on, with the thread's name. A thread that began with one pair ends with it, whatever
/// was set meanwhile. They must not panic.
pub fn set_thread_hooks(
    begin: impl Fn(&str) + Send + Sync + 'static,
    end: impl Fn(&str) + Send + Sync + 'static,
) {
    let hooks = Hooks {
        begin: Box::new(begin),
        end: Box::new(end),
    };
    let before = lock(&HOOKS).replace(Arc::new(hooks));
    // Dropping them calls the host: not with the lock held.
    drop(before);
}

/// No more hooks for threads to come.
pub fn clear_thread_hooks() {
    let before = lock(&HOOKS).take();
    drop(before);
}

thread_local! {
    /// The server that this thread works for; 0: none.
    static SERVER: Cell<u64> = const { Cell::new(0) };
}

/// The server that the calling thread works for just now, by the number that
/// [`Server::id`](crate::Server::id) tells: for a logger that serves several. 0: none.
pub fn current_server() -> u64 {
    SERVER.try_with(Cell::get).unwrap_or(0)
}

/// Names the server that the calling thread works for, until it is dropped.
#[doc(hidden)]
#[must_use]
#[derive(Debug)]
pub struct WorksFor(u64);

impl WorksFor {
    pub(crate) fn server(id: u64) -> WorksFor {
        WorksFor(SERVER.replace(id))
    }
}

impl Drop for WorksFor {
    fn drop(&mut self) {
        SERVER.set(self.0);
    }
}

/// Starts a thread of the library, for the server that this one works for.
#[doc(hidden)]
pub fn spawn_thread(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    let hooks = lock(&HOOKS).clone();
    let server = current_server();
    let builder = Builder::new()
        .name(name.to_owned())
        .stack_size(THREAD_STACK);
    let name = name.to_owned();
    let _blocked = Signals::block();
    builder.spawn(move || {
        SERVER.set(server);
        let hooked = hooks.map(|hooks| Hooked::begin(hooks, name));
        work();
        drop(hooked);
    })
}

/// What the threads of another's runtime begin and end with, so that they are threads of the
/// library: known to the host's hooks, and to the log by the server that the thread which
/// made this works for.
#[doc(hidden)]
#[derive(Clone)]
pub struct ThreadLife {
    name: &'static str,
    server: u64,
    hooks: Option<Arc<Hooks>>,
}

impl std::fmt::Debug for ThreadLife {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ThreadLife").field(&self.name).finish()
    }
}

impl ThreadLife {
    /// Of threads with this name.
    pub fn new(name: &'static str) -> ThreadLife {
        ThreadLife {
            name,
            server: current_server(),
            hooks: lock(&HOOKS).clone(),
        }
    }

    /// To be called first on each of them.
    pub fn begin(&self) {
        SERVER.set(self.server);
        let hooks = self.hooks.clone();
        let hooked = hooks.map(|hooks| Hooked::begin(hooks, self.name.to_owned()));
        HOOKED.set(hooked);
    }

    /// To be called last.
    pub fn end(&self) {
        drop(HOOKED.take());
    }

    /// Makes the runtime: threads that are begun meanwhile, and those that they begin, take no
    /// signal of the program's.
    pub fn without_signals<T>(make: impl FnOnce() -> T) -> T {
        let _blocked = Signals::block();
        make()
    }
}

thread_local! {
    /// What ends with this thread, if a runtime began it.
    static HOOKED: Cell<Option<Hooked>> = const { Cell::new(None) };
}

/// A thread that the host knows of, until its end, even by a panic.
struct Hooked {
    hooks: Arc<Hooks>,
    name: String,
}

impl Hooked {
    fn begin(hooks: Arc<Hooks>, name: String) -> Hooked {
        (hooks.begin)(&name);
        Hooked { hooks, name }
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        (self.hooks.end)(&self.name);
    }
}

/// Signals of the program are for its own threads: a new thread has the mask of the one
/// that starts it. Those that a thread raises by what it does stay, for handlers of
/// crashes.
#[cfg(all(unix, not(miri)))]
#[allow(unsafe_code)]
mod signals {
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    /// Signals raised by the thread that gets them.
    const OWN: [libc::c_int; 7] = [
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGTRAP,
    ];

    /// The calling thread's mask, put back on drop.
    pub(super) struct Signals(libc::sigset_t);

    impl Signals {
        pub(super) fn block() -> Signals {
            let mut all = MaybeUninit::uninit();
            let mut before = MaybeUninit::uninit();
            // SAFETY: each set is written before it is read; a call of these fails for
            // a wrong number only, and there is none.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                for signal in OWN {
                    libc::sigdelset(all.as_mut_ptr(), signal);
                }
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
                Signals(before.assume_init())
            }
        }
    }

    impl Drop for Signals {
        fn drop(&mut self) {
            // SAFETY: the mask that this thread had.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, null_mut()) };
        }
    }
}

/// No such signals there are.
#[cfg(not(all(unix, not(miri))))]
mod signals {
    pub(super) struct Signals;

    impl Signals {
        pub(super) fn block() -> Signals {
            Signals
        }
    }
}

use signals::Signals;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_works_for_the_server_of_the_one_that_started_it() {
        let (tell, told) = channel();
        let here = WorksFor::server(7);
        let thread = spawn_thread(
            "test",
            Box::new(move || tell.send(current_server()).unwrap()),
        );
        drop(here);
        assert_eq!(current_server(), 0);
        thread.unwrap().join().unwrap();
        assert_eq!(told.recv(), Ok(7));
    }

    #[test]
    fn hooks_that_go_may_have_others_set() {
        /// What a host's closures hold, which knows this module.
        struct Held(std::sync::mpsc::Sender<()>);
        impl Drop for Held {
            fn drop(&mut self) {
                clear_thread_hooks();
                self.0.send(()).unwrap();
            }
        }
        let (tell, told) = channel();
        let held = Held(tell);
        set_thread_hooks(move |_| _ = &held, |_| ());
        set_thread_hooks(|_| (), |_| ());
        assert_eq!(told.recv(), Ok(()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_takes_no_signal_of_the_program_and_leaves_the_mask_of_its_starter() {
        let mask = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|l| l.strip_prefix("SigBlk:"));
            u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
        };
        let before = mask();
        let (tell, told) = channel();
        let thread = spawn_thread("test", Box::new(move || tell.send(mask()).unwrap()));
        thread.unwrap().join().unwrap();
        assert_eq!(mask(), before);
        let blocked = told.recv().unwrap();
        let is_blocked = |signal: libc::c_int| blocked >> (signal - 1) & 1 == 1;
        for signal in [
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGCHLD,
            libc::SIGALRM,
            libc::SIGPROF,
        ] {
            assert!(is_blocked(signal), "{signal} in {blocked:x}");
        }
        assert!(!is_blocked(libc::SIGSEGV), "{blocked:x}");
    }
}
