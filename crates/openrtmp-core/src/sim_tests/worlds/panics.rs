//! Panics of worlds: expected ones say so, the others are defects. None is
//! printed: a world that is shrunk would print hundreds.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

use super::super::PANIC;

/// What is said by the assertion that a test's disconnect trips.
const ASKED_FOR: &str = "asked for by a test";

thread_local! {
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs a world; its panics are kept, not printed.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !keep(info) {
                before(info);
            }
        }));
    });
    SEEN.set(Some(Vec::new()));
    let result = run();
    SEEN.set(None);
    result
}

fn keep(info: &PanicHookInfo<'_>) -> bool {
    let text = info.payload_as_str().unwrap_or("a panic");
    let place = info.location().map(ToString::to_string);
    SEEN.with_borrow_mut(|seen| match seen {
        Some(seen) => {
            if !text.contains(ASKED_FOR) && !text.contains("PANIC") && !text.contains(PANIC) {
                seen.push(format!("{text} at {}", place.unwrap_or_default()));
            }
            true
        }
        None => false,
    })
}

/// A panic that nobody asked for.
pub(super) fn unexpected() -> Option<String> {
    SEEN.with_borrow(|seen| seen.as_ref()?.first().cloned())
}

/// The last one.
pub(super) fn last() -> String {
    let last = SEEN.with_borrow(|seen| seen.as_ref()?.last().cloned());
    last.unwrap_or_default()
}
