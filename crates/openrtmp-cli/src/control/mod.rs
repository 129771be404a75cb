//! A running server in its operator's hands: requests and answers as lines of JSON over a
//! socket of this machine (docs/control.md). `openrtmp serve` answers, `openrtmp ctl` asks.
//!
//! [`Request`] is every verb that there is, and [`Operator`] carries one out: neither knows
//! what it came over.

mod answer;
mod client;
mod keys;
mod operator;
mod request;
mod server;
mod socket;

pub(crate) use answer::{Code, Refusal};
pub(crate) use client::ask;
pub(crate) use operator::{Hands, Operator, Reloaded};
pub(crate) use request::{Kind, NewKey, Request, StreamRef};
pub(crate) use server::Control;

pub(crate) use keys::KeyFile;
