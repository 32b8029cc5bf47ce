//! Objects in stores behind a network: S3 and what speaks its protocol, plain HTTP, and by feature `gs` and `az`.
//!
//! Requests run on a small runtime of their own, which starts when the first one is made; workers wait for the answers
//! and are woken by cancellation. The way of a read: [`ahead`] (which ranges, cut and joined, within the budget) →
//! [`fetch`] (one range, resumed where its body stopped) → [`store`] (the client, renewed when its credentials have
//! expired) → [`fault`] (what the store refused, in words).
//!
//! Invariant: no request outlives what asked for it, no error shows a secret, and bytes that arrive are either all of
//! the range or an error.
//!
//! # Known limitation
//! Neither patterns nor writing over plain HTTP. Server-side roles (`source_profile`, single sign-on) need
//! `credential_process` in the profile.

mod address;
mod ahead;
mod fault;
mod fetch;
mod file;
mod find;
mod folder;
mod object;
mod profile;
mod runtime;
mod s3;
mod secret;
mod store;
mod upload;

pub(super) use address::Address;
pub(super) use file::RemoteFile;
pub(super) use find::find;
pub use folder::ObjectFolder;
pub(super) use object::Object;
pub use object::Surroundings;
pub use runtime::with_many_waiting;
pub use secret::Secret;
pub(super) use store::Store;
pub use upload::Upload;
