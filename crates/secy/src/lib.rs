//! secy
