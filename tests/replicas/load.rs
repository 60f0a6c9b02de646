//! How much the tests under load do.

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) pairs: u64,
    pub(crate) tasks: u64,
    /// Whether each read is after the token of its write.
    pub(crate) with_tokens: bool,
    /// Whether servers are killed and one is promoted.
    pub(crate) ends_servers: bool,
}

impl Load {
    pub(crate) fn of(with_tokens: bool) -> Self {
        let is_full = std::env::var("REGISTRY_TEST_FULL").is_ok_and(|value| value == "1");
        if is_full {
            Self { pairs: 20_000, tasks: 32, with_tokens, ends_servers: true }
        } else {
            Self { pairs: 400, tasks: 8, with_tokens, ends_servers: false }
        }
    }
}

/// Numbers that are the same in each run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
