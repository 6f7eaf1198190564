//! The commit protocol of outputs: local files and folders, and objects in a store. `docs/commit.md` describes its states
//! and what readers see in each of them.
//!
//! A run writes all its files where no reader looks ([`Staging`]) and publishes them when they are whole. A local file or
//! folder is published by one rename (`atomic_rename`). Where no single operation can do it, in object stores and in folders
//! that cannot be exchanged, files become visible one after the other, and a [`journal`] in the output tells readers which
//! of them to ignore. Two runs to one output exclude each other by a locked file ([`output_lock`]) or by the journal as a
//! claim ([`claim`]). What a killed process leaves is removed by the next run ([`sweep`]).

mod atomic_rename;
mod claim;
mod file_lock;
pub(super) mod journal;
mod local_output;
mod object_store_output;
mod output_kind;
mod output_lock;
mod owned_folder;
mod private_folder;
pub(super) mod reading;
mod replaceable;
mod staging;
mod sweep;
mod task_attempts;

pub use output_kind::OutputMode;
pub use owned_folder::OwnedFolder;
pub use private_folder::{private_folder, private_folder_in};
pub use staging::Staging;
pub use task_attempts::Attempts;

pub(super) use replaceable::is_file_name;
pub(super) use task_attempts::ObjectStoreAttempts;
