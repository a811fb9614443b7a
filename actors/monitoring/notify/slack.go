package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// Bounds of a message for people.
const (
	maxTold = 20   // alerts that are written out
	maxLine = 1000 // characters of one alert
)

// subject is the message in a line: [FIRING:2] StreamStale market-data-collector.
func (m *message) subject() string {
	var b strings.Builder
	b.WriteString("[" + strings.ToUpper(m.status()))
	if n := m.firing(); n > 0 {
		fmt.Fprintf(&b, ":%d", n)
	}
	b.WriteString("]")
	for _, l := range m.groupLabels {
		b.WriteString(" " + l.Value)
	}
	if len(m.groupLabels) == 0 && len(m.alerts) > 0 {
		b.WriteString(" " + m.alerts[0].Labels.Get(alert.NameLabel))
	}
	return b.String()
}

// headline says an alert in a line.
func headline(a *alert.Alert) string {
	text := a.Annotations.Get(alert.SummaryAnnotation)
	if text == "" {
		text = a.Labels.String()
	}
	return clip(text)
}

func clip(text string) string {
	if runes := []rune(text); len(runes) > maxLine {
		return string(runes[:maxLine-1]) + "…"
	}
	return text
}

// slackMessage is what an incoming webhook takes
// (https://api.slack.com/reference/messaging/attachments).
type slackMessage struct {
	Channel     string            `json:"channel,omitempty"`
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments"`
}

type slackAttachment struct {
	Color     string   `json:"color"`
	Title     string   `json:"title"`
	TitleLink string   `json:"title_link,omitempty"`
	Text      string   `json:"text"`
	Fallback  string   `json:"fallback"`
	Footer    string   `json:"footer"`
	Timestamp int64    `json:"ts"`
	Markdown  []string `json:"mrkdwn_in"`
}

// Colours of an attachment.
const (
	slackRed    = "danger"
	slackYellow = "warning"
	slackGreen  = "good"
)

// slackText escapes what Slack takes for markup
// (https://api.slack.com/reference/surfaces/formatting#escaping).
var slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slackMessageOf(m *message, channel string) slackMessage {
	s := slackMessage{Channel: channel, Text: slackText.Replace(m.subject()), Attachments: []slackAttachment{}}
	for i := range m.alerts {
		if i == maxTold {
			s.Text += fmt.Sprintf(" (and %d more)", len(m.alerts)-maxTold)
			break
		}
		a := &m.alerts[i]
		color := slackGreen
		switch {
		case a.State == alert.Firing && a.Severity() == "critical":
			color = slackRed
		case a.State == alert.Firing:
			color = slackYellow
		}
		title := slackText.Replace(headline(a))
		s.Attachments = append(s.Attachments, slackAttachment{
			Color: color, Title: title, TitleLink: absolute(a.Annotations.Get(alert.RunbookAnnotation)), Fallback: title,
			Text:   slackText.Replace(clip(a.Annotations.Get(alert.DescriptionAnnotation))),
			Footer: slackText.Replace(a.State.String() + " " + a.Labels.String()), Timestamp: a.FiredAt.Unix(), Markdown: []string{},
		})
	}
	return s
}

// absolute is a link that leads somewhere from outside; "" for a path of ours.
func absolute(link string) string {
	if strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://") {
		return link
	}
	return ""
}

// slack tells an incoming webhook of Slack, or of what takes the same.
type slack struct {
	*caller
	channel string
}

func (s *slack) tell(ctx context.Context, m *message) error {
	body, err := json.Marshal(slackMessageOf(m, s.channel))
	if err != nil {
		return permanentError{fmt.Errorf("writing the message: %w", err)}
	}
	return s.post(ctx, body)
}
