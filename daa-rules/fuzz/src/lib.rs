//! What the fuzz targets do with bytes. The ordinary tests run the kept corpus through the same functions
//! (`tests/it/corpus.rs`).

pub mod audit;
pub mod rules;
