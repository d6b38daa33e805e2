//! The promises, one module each, and what else a user relies on.

mod text;
