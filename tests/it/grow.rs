//! The example that grows, as a person runs it.

use std::path::Path;
use std::process::Command;

/// What it says, wherever its backends are.
const SAID: &str = "\
10.40 is asked: too dear
 9.80 is asked: bought
 9.10 is asked: bought
11.00 is asked: too dear
 8.70 is asked: bought
 9.90 is asked: failed: ";
