//! Slack: Web API, Socket Mode, events and interactivity over HTTP.
