//! MACsec Key Agreement (802.1X clause 9): the KaY of one link.
//!
//! A [`Kay`] is handed the time and what others send, and hands out what it has to send, what the SecY is to do, and
//! what an operator may want to know. It has no socket, no clock and no source of randomness of its own, so that
//! simulations run it as links do. Whoever drives it calls, in this order, whenever something happened:
//!
//! 1. [`Kay::handle_frame`], or one of the other `handle_…`, or at [`Kay::poll_timeout`]'s time
//!    [`Kay::handle_timeout`];
//! 2. [`Kay::poll_action`] until there is none, each done by the SecY in this order;
//! 3. [`Kay::poll_transmit`] until there is none;
//! 4. [`Kay::poll_event`] until there is none.
//!
//! It knows neither the SecY nor ports: actions name keys, channels and associations, and whoever translates them says
//! with [`Kay::handle_done`] that what was asked for is in place.
#![forbid(unsafe_code)]

mod action;
mod config;
mod cp;
mod kay;
mod key;
mod mkpdu;
mod peer;
mod server;
mod status;
mod timers;

pub use action::{Action, Event, Ignored, Reason, Refused};
pub use config::{Config, Random, Times};
pub use kay::Kay;
pub use key::{Key, KeyIdentifier};
pub use status::{PeerStatus, SaStatus, Server, Status};

/// Time since an epoch of the caller's choice, which never goes back.
pub type Time = core::time::Duration;
