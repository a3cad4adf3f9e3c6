//! Nodes as their users have them.

mod auth;
mod book;
mod node;
mod nodes;
mod records;
mod support;
mod transport;
