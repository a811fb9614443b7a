package catalogue

// Metrics of actors/monitoring/notify.
const (
	Alerts                    Name = "mp_alerts"
	AlertsAccepted            Name = "mp_alerts_accepted_total"
	AlertsRefused             Name = "mp_alerts_refused_total"
	AlertsAcceptedAt          Name = "mp_alerts_accepted_timestamp_seconds"
	Notifications             Name = "mp_notifications_total"
	NotificationSeconds       Name = "mp_notification_seconds"
	NotificationsWaiting      Name = "mp_notifications_waiting"
	NotificationStoreFailures Name = "mp_notification_store_failures_total"
	Silences                  Name = "mp_silences"
)

func alerts() Area {
	return Area{
		Title: "Alerts",
		About: "What fires, and who was told; see [monitoring.md](monitoring.md).",
		Metrics: []Metric{
			gauge(Alerts, Number, "Alerts that fire: active, silenced or inhibited (explained by another).", outcome),
			counter(AlertsAccepted, Number, "Alerts taken from the rule engine, each again at every evaluation."),
			counter(AlertsRefused, Number, "Alerts not taken, because too many were on their way or fired."),
			gauge(AlertsAcceptedAt, Seconds, "When the rule engine brought alerts last, in Unix time."),
			counter(Notifications, Number, "Messages to receivers, by kind of receiver: sent, failed (until the group's next turn), refused (too many waited), and attempts that were retried.", kind, outcome),
			histogram(NotificationSeconds, Seconds, Latency, "Time that a message took with all its attempts.", kind),
			gauge(NotificationsWaiting, Number, "Messages that wait for their receiver.", kind),
			counter(NotificationStoreFailures, Number, "Times that the notification log could not be read or written."),
			gauge(Silences, Number, "Silences: pending, active or expired.", outcome),
		},
	}
}
