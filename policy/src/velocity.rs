//! Rolling windows (placeholder text replaced by the rule author).
