//! Not shipped: an independent writer of the formats our readers read, and servers with faults.
