//! Rules that govern what an agent may do: CEL conditions, default deny, hashed versions.
