//! nirc-spinnaker2
