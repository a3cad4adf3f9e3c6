//! What policies and entities may ask of the process that loads them.

/// The bounds of policies, schemas and entities.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuthorisationLimits;

impl AuthorisationLimits {
    /// Bytes of a file of policies (1 MiB).
    pub const SOURCE: usize = 1 << 20;
    /// Bytes of a program's own schema (256 KiB).
    pub const SCHEMA: usize = 256 << 10;
    /// Policies.
    pub const POLICIES: usize = 1_000;
    /// Bytes of one policy, with the comments in it.
    pub const POLICY: usize = 4_096;
    /// How deep brackets may be nested in a policy or a schema.
    pub const NESTING: usize = 48;
    /// Problems that are told at a time.
    pub const PROBLEMS: usize = 100;
    /// Entities.
    pub const ENTITIES: usize = 10_000;
    /// Bytes of JSON of one entity (16 KiB).
    pub const ENTITY: usize = 16 << 10;
    /// Bytes of JSON of all entities (16 MiB).
    pub const ENTITIES_BYTES: usize = 16 << 20;
    /// Roles and teams that an entity is directly in.
    pub const PARENTS: usize = 64;
    /// How many roles and teams may stand above each other.
    pub const DEPTH: usize = 16;
    /// Changes that are made together.
    pub const CHANGES: usize = 1_000;
    /// Decisions that are kept, for the policies and entities that govern.
    pub const CACHED: usize = 16_384;
    /// Characters of a reason that a decision gives.
    pub const REASON: usize = 1_000;
}
