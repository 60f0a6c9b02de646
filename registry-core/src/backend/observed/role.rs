//! The role of the server: whether it accepts writes, according to its own reports.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The server's reports about its role.
#[derive(Debug, Default)]
pub(crate) struct ServerRole(AtomicU8);

const REPORTED: u8 = 1;
#[cfg(feature = "postgres")]
const IN_HOT_STANDBY: u8 = 2;
#[cfg(feature = "postgres")]
const READ_ONLY_BY_DEFAULT: u8 = 4;

impl ServerRole {
    /// Whether the server refuses writes. `None` without a report: PostgreSQL reports its role from version 14 on.
    pub(crate) fn is_read_only(&self) -> Option<bool> {
        let role = self.0.load(Relaxed);
        (role & REPORTED != 0).then_some(role & !REPORTED != 0)
    }

    /// Whether the server is in recovery. `None` without a report.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_in_hot_standby(&self) -> Option<bool> {
        let role = self.0.load(Relaxed);
        (role & REPORTED != 0).then_some(role & IN_HOT_STANDBY != 0)
    }

    /// Records the value of a parameter that the server has reported (`ParameterStatus`). True if the parameter belongs to
    /// the server's role.
    #[cfg(feature = "postgres")]
    pub(crate) fn note_parameter(&self, name: &[u8], value: &[u8]) -> bool {
        let flag = match name {
            b"in_hot_standby" => IN_HOT_STANDBY,
            b"default_transaction_read_only" => READ_ONLY_BY_DEFAULT,
            _ => return false,
        };
        self.0.fetch_or(REPORTED, Relaxed);
        if value == b"on" {
            self.0.fetch_or(flag, Relaxed);
        } else {
            self.0.fetch_and(!flag, Relaxed);
        }
        true
    }
}
