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
    /// Tests in a ruleset.
    pub const TESTS: usize = 10_000;
    /// Occurrences of schedules, or values of a threshold, that one test looks at.
    pub const OCCURRENCES: usize = 1_000;
    /// Occurrences and values that all tests of a ruleset look at together; each look for the next one counts.
    pub const OCCURRENCES_IN_ALL: usize = 100_000;
    /// Attributes declared in `[context]`, in `[params]`, and of each kind of action; members of records count.
    pub const ATTRIBUTES: usize = 1_000;
    /// Windows of a ruleset, and as many tables `[seen]`.
    pub const COUNTERS: usize = 200;
    /// Expressions in the `per` of a window.
    pub const KEYS: usize = 8;
    /// The longest span of a window, in days.
    pub const SPAN_DAYS: u64 = 3_650;
    /// Facts that providers tell.
    pub const PROVIDED_FACTS: usize = 64;
    /// Bytes of JSON of what a provider tells.
    pub const PROVIDED: usize = 4_096;
    /// Actions that count in one window, for one key, at a time. Where no more fit, the window is indeterminate.
    pub const COUNTED: usize = 20_000;
    /// Actions that are looked at for one sequence, for one key. Where no more fit, the sequence is indeterminate.
    pub const SEQUENCE: usize = 1_000;
    /// Steps of a sequence.
    pub const SEQUENCE_STEPS: usize = 16;
    /// Expressions that tie a step of a sequence to its last one.
    pub const TIES: usize = 8;
    /// Agents and owners that a ruleset names.
    pub const OWNED: usize = 10_000;
    /// Kinds of action of which something is declared.
    pub const KINDS: usize = 1_000;
    /// Rules that are triggered, and do something.
    pub const TRIGGERED: usize = 1_000;
    /// Parameters of a ruleset.
    pub const PARAMETERS: usize = 200;
    /// Bytes of JSON of a parameter.
    pub const PARAMETER: usize = 4_096;
    /// Bytes of JSON of all parameters that were ever set, together: what is no more declared goes first.
    pub const PARAMETERS_SET: usize = 1_000_000;
    /// Untrusted sources of the data that lets one rule fire.
    pub const SOURCES: usize = 256;
    /// Kinds of notification.
    pub const NOTIFICATIONS: usize = 1_000;
    /// Bytes of a notification's text.
    pub const TEXT: usize = 8 << 10;
    /// Bytes of an event that may trigger rules.
    pub const EVENT_DATA: usize = 256 << 10;
    /// How long a chain of causes may be: a rule that fires because of what a rule did, and so on.
    pub const CHAIN: u8 = 8;
    /// How often a rule fires in the span of its rate, unless it says otherwise.
    pub const RATE: u32 = 60;
    /// The span of a rate, in seconds, unless a rule says otherwise.
    pub const RATE_SECONDS: u64 = 60;
    /// The highest rate that a rule can ask for.
    pub const MOST: u32 = 1_000_000;
    /// Emitted actions that wait to be submitted. Where there are more, no events are read.
    pub const PENDING: usize = 64;
    /// Attributes that one rule redacts.
    pub const REDACTED: usize = 64;
    /// Problems of one ruleset that are told.
    pub const PROBLEMS: usize = 100;
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
