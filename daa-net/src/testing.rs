//! What every reader of bytes from outside must do, for the fuzz targets and a test over their corpus; and nodes for tests.

pub mod decoders;
mod nodes;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use nodes::*;
