//! Turns the YAML documents people commit into checked values, or into diagnostics that point at the line.
