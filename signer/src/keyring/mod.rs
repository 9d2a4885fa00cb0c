//! The only place that touches LND's secret keys.
