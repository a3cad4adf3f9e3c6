//! Nodes as their users have them.

mod auth;
mod book;
mod killed;
mod node;
mod nodes;
mod records;
mod slow;
mod support;
mod transport;
