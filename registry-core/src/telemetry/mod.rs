//! What is reported of each query.
//!
//! | file | contents |
//! |---|---|
//! | [`meters`] | the histogram of the durations of queries |

pub(crate) mod meters;
