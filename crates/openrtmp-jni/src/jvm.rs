//! The virtual machine: its classes, looked up once, and threads of the server in it.

use std::cell::OnceCell;
use std::ffi::CString;
use std::sync::OnceLock;

use jni::errors::{Error, Result};
use jni::ids::{JMethodID, JStaticMethodID};
use jni::objects::{JClass, JObject, JThrowable};
use jni::refs::Global;
use jni::signature::{Primitive, ReturnType};
use jni::sys::jvalue;
use jni::{AttachConfig, Env, JavaVM, jni_sig, jni_str};

use crate::{codec, logging, phone, publisher, server, tap};

/// What native code calls. Ids are valid while their classes are held; threads of the
/// server could not look them up, for they see the system's class loader only.
pub(crate) struct Ids {
    native: Global<JClass<'static>>,
    wake: JStaticMethodID,
    log: JStaticMethodID,
    _callbacks: Global<JClass<'static>>,
    pub(crate) event: JMethodID,
    pub(crate) order: JMethodID,
    pub(crate) access: JMethodID,
    pub(crate) frame: Global<JClass<'static>>,
    pub(crate) new_frame: JMethodID,
    exception: Global<JClass<'static>>,
    new_exception: JMethodID,
}

static IDS: OnceLock<Ids> = OnceLock::new();

/// Local references that a callback may make.
const LOCAL_REFERENCES: usize = 16;

/// Looks classes up and registers the native methods.
///
/// # Safety
/// The pointer is the machine's, handed to `JNI_OnLoad`.
pub(crate) unsafe fn load(machine: *mut jni::sys::JavaVM) -> Result<()> {
    // SAFETY: the caller's.
    let machine = unsafe { JavaVM::from_raw(machine) };
    machine.with_top_local_frame(|env| {
        let native = env.find_class(jni_str!("org/openrtmp/Native"))?;
        let methods = [
            server::METHODS,
            tap::METHODS,
            publisher::METHODS,
            codec::METHODS,
            logging::METHODS,
            phone::METHODS,
        ];
        for methods in methods {
            // SAFETY: the macro that made them has checked functions against signatures.
            unsafe { env.register_native_methods(&native, methods)? };
        }
        let callbacks = env.find_class(jni_str!("org/openrtmp/ServerCallbacks"))?;
        let frame = env.find_class(jni_str!("org/openrtmp/Frame"))?;
        let exception = env.find_class(jni_str!("org/openrtmp/OpenRtmpException"))?;
        let ids = Ids {
            wake: env.get_static_method_id(&native, jni_str!("wake"), jni_sig!((jlong) -> void))?,
            log: env.get_static_method_id(
                &native,
                jni_str!("log"),
                jni_sig!((jint, java.lang.String, java.lang.String) -> void),
            )?,
            event: env.get_method_id(
                &callbacks,
                jni_str!("event"),
                jni_sig!((java.lang.String) -> void),
            )?,
            order: env.get_method_id(
                &callbacks,
                jni_str!("order"),
                jni_sig!((java.lang.String) -> void),
            )?,
            access: env.get_method_id(
                &callbacks,
                jni_str!("access"),
                jni_sig!((jlong, java.lang.String) -> void),
            )?,
            new_frame: env.get_method_id(
                &frame,
                jni_str!("<init>"),
                jni_sig!(
                    (
                        handle: jlong,
                        data: java.nio.ByteBuffer,
                        kind: jint,
                        track: jint,
                        codec: jint,
                        content: jint,
                        dts: jlong,
                        pts: jlong,
                        dropped: jlong,
                        stream: jlong,
                        length_size: jint
                    ) -> void
                ),
            )?,
            new_exception: env.get_method_id(
                &exception,
                jni_str!("<init>"),
                jni_sig!((jint, java.lang.String) -> void),
            )?,
            native: env.new_global_ref(native)?,
            _callbacks: env.new_global_ref(callbacks)?,
            frame: env.new_global_ref(frame)?,
            exception: env.new_global_ref(exception)?,
        };
        // The first of several class loaders, of which only one can load a library.
        let _ = IDS.set(ids);
        Ok(())
    })
}

/// Calls into Java from a thread of the server, which is attached as a daemon until it
/// ends: a plain one would keep the machine from ending. `None` if that failed, or Java
/// threw; the exception is cleared, and the error told to `failed`.
pub(crate) fn call<T>(
    failed: impl FnOnce(&Error),
    work: impl FnOnce(&mut Env<'_>, &Ids) -> Result<T>,
) -> Option<T> {
    let done = attached(work);
    done.inspect_err(|error| failed(error)).ok()
}

fn attached<T>(work: impl FnOnce(&mut Env<'_>, &Ids) -> Result<T>) -> Result<T> {
    let machine = JavaVM::singleton()?;
    let ids = IDS.get().ok_or(Error::UninitializedJavaVM)?;
    if !machine.is_thread_attached()? {
        ATTACHMENT.with(|attachment| {
            attachment.get_or_init(|| Daemon::attach(&machine));
        });
    }
    let config = AttachConfig::new;
    machine.attach_current_thread_with_config(config, Some(LOCAL_REFERENCES), |env| work(env, ids))
}

thread_local! {
    static ATTACHMENT: OnceCell<Option<Daemon>> = const { OnceCell::new() };
}

/// An attachment as a daemon, under the thread's own name, undone on drop. The crate `jni`
/// has none, and finds a thread attached that is so.
struct Daemon(*mut jni::sys::JavaVM);

impl Daemon {
    /// `None` if the machine refuses.
    fn attach(machine: &JavaVM) -> Option<Daemon> {
        let raw = machine.get_raw();
        let name = std::thread::current().name().map(CString::new);
        let name = name.and_then(|name| name.ok());
        let mut arguments = jni::sys::JavaVMAttachArgs {
            version: jni::sys::JNI_VERSION_1_6,
            name: name
                .as_ref()
                .map_or(std::ptr::null_mut(), |name| name.as_ptr().cast_mut()),
            group: std::ptr::null_mut(),
        };
        let mut env = std::ptr::null_mut();
        // SAFETY: the machine lives as long as the process; it copies the name.
        let code = unsafe {
            let attach = (**raw).v1_4.AttachCurrentThreadAsDaemon;
            attach(raw, &mut env, (&raw mut arguments).cast())
        };
        (code == jni::sys::JNI_OK).then_some(Daemon(raw))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: attached by this thread, on which no Java runs any more: it ends.
        unsafe { ((**self.0).v1_4.DetachCurrentThread)(self.0) };
    }
}

/// `Native.wake`: there is something in a tap.
pub(crate) fn wake(tap: i64) {
    let failed = |error: &Error| log::error!("waking a tap: {error}");
    call(failed, |env, ids| {
        let arguments = [jvalue { j: tap }];
        // SAFETY: a static method of that class with these arguments.
        unsafe { env.call_static_method_unchecked(&ids.native, ids.wake, VOID, &arguments)? };
        Ok(())
    });
}

/// `Native.log`. What fails is told nobody: it would be logged.
pub(crate) fn log(level: log::Level, target: &str, message: &str) {
    let ignored = |_: &Error| {};
    call(ignored, |env, ids| {
        let target = env.new_string(target)?;
        let message = env.new_string(message)?;
        let arguments = [
            jvalue { i: level as i32 },
            jvalue { l: target.as_raw() },
            jvalue {
                l: message.as_raw(),
            },
        ];
        // SAFETY: a static method of that class with these arguments.
        unsafe { env.call_static_method_unchecked(&ids.native, ids.log, VOID, &arguments)? };
        Ok(())
    });
}

/// Calls a method of `ServerCallbacks`.
///
/// # Safety
/// The arguments are the method's, which returns nothing.
pub(crate) unsafe fn call_back(
    env: &mut Env<'_>,
    callbacks: &Global<JObject<'static>>,
    method: JMethodID,
    arguments: &[jvalue],
) -> Result<()> {
    // SAFETY: the caller's.
    unsafe { env.call_method_unchecked(callbacks, method, VOID, arguments)? };
    Ok(())
}

const VOID: ReturnType = ReturnType::Primitive(Primitive::Void);

/// Throws an `OpenRtmpException`, unless one is being thrown.
pub(crate) fn throw(env: &mut Env<'_>, code: i32, message: &str) -> Result<()> {
    if env.exception_check() {
        return Ok(());
    }
    let ids = IDS.get().ok_or(Error::UninitializedJavaVM)?;
    let message = env.new_string(message)?;
    let arguments = [
        jvalue { i: code },
        jvalue {
            l: message.as_raw(),
        },
    ];
    // SAFETY: a constructor of that class with these arguments.
    let exception =
        unsafe { env.new_object_unchecked(&ids.exception, ids.new_exception, &arguments)? };
    let exception = env.cast_local::<JThrowable<'_>>(exception)?;
    env.throw(exception)
}

/// For methods that make frames.
pub(crate) fn ids() -> Result<&'static Ids> {
    IDS.get().ok_or(Error::UninitializedJavaVM)
}
