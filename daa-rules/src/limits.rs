//! What a ruleset may ask of the process that loads it.

/// The bounds of rulesets and of their evaluation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits;

impl Limits {
    /// Bytes of a ruleset's source (4 MiB).
    pub const SOURCE: usize = 4 << 20;
    /// Rules in a ruleset.
    pub const RULES: usize = 10_000;
    /// Attributes declared in `[context]`, and as many in `[params]`.
    pub const ATTRIBUTES: usize = 1_000;
    /// Bytes of one condition.
    pub const CONDITION: usize = 4_096;
    /// Operators, literals and names in one condition, after its macros are expanded.
    pub const NODES: usize = 512;
    /// How deep a condition may be nested.
    pub const DEPTH: usize = 48;
    /// Bytes of a rule's reason.
    pub const REASON: usize = 1_000;
    /// Steps that one condition may take: one for each operation, each element that is looked at, and each 256
    /// bytes of text.
    pub const STEPS: u32 = 10_000;
    /// Steps that all conditions of one decision may take together. A rule that is not reached is
    /// indeterminate.
    pub const DECISION_STEPS: u32 = 500_000;
    /// Bytes of text, and elements of a list, that a condition may build.
    pub const BUILT: usize = 64 << 10;
}
