//! Gets bytes by location, checks them and keeps them in a content-addressed cache.
