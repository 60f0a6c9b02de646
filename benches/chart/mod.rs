//! Pictures of figures, as SVG that needs nothing else: no script, no font, no other file.
//!
//! | file | contents |
//! |---|---|
//! | [`svg`] | elements, and the escaping of texts |
//! | [`style`] | colours in the light and in the dark, and the mark of each series |
//! | [`scale`] | logarithmic and linear axes, and their ticks |
//! | [`lines`] | a chart of lines over logarithmic axes |
//! | [`bars`] | a chart of horizontal bars |
//!
//! The same figures give the same bytes.

pub(crate) mod bars;
pub(crate) mod lines;
pub(crate) mod scale;
pub(crate) mod style;
pub(crate) mod svg;
