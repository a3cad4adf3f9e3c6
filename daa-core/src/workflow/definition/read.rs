//! Definitions from text, with the line and the column of whatever is wrong.
//!
//! Text becomes a [`tree`] that knows where each of its parts stands, by [`json`] or `yaml`; [`decode`] turns the tree
//! into a definition through serde, so that its form is written down once; then it is checked.

mod decode;
mod error;
mod json;
mod tree;
#[cfg(feature = "yaml")]
mod yaml;

pub use error::{Flaw, Position, ReadErrors, ReadProblem};

use self::error::{Misread, Source};
use self::tree::Node;
use super::check::MAX_BYTES;
use super::{DefinitionErrors, Workflow};

impl Workflow {
    /// Reads a definition from JSON, and checks it.
    ///
    /// ```
    /// # use daa_core::workflow::Workflow;
    /// let text = r#"{ "workflow": "ping", "steps": [{ "step": "ping", "action": { "knid": "ping" } }] }"#;
    /// let errors = Workflow::from_json(text).unwrap_err().with_file("ping.json");
    /// assert!(errors.to_string().starts_with("ping.json:1:63: steps.ping.knid: unknown \"knid\""));
    /// ```
    ///
    /// # Errors
    /// [`ReadErrors`]: the first thing that is no definition, or else everything that is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, ReadErrors> {
        read(text, json::parse)
    }

    /// Reads a definition from YAML: one document, without anchors, aliases and tags.
    ///
    /// # Errors
    /// [`ReadErrors`]: the first thing that is no definition, or else everything that is wrong with it.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Self, ReadErrors> {
        read(text, yaml::parse)
    }
}

fn read(text: &str, parse: fn(&str) -> Result<Node, Misread>) -> Result<Workflow, ReadErrors> {
    if text.len() > MAX_BYTES {
        let flaw = Flaw::TooLarge { found: text.len(), max: MAX_BYTES };
        return Err(Source::new("").one(None, Misread::at(0, flaw)));
    }
    let source = Source::new(text);
    let root = parse(text).map_err(|misread| source.one(None, misread))?;
    let workflow: Workflow = decode::decode(&root).map_err(|misread| source.one(Some(&root), misread))?;
    let place = |errors: DefinitionErrors| source.all(&root, errors);
    workflow.check().map_err(place)?;
    Ok(workflow)
}
