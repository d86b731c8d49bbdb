//! Runs the stages in order: plan, build, publish, verify, inspect.
