package top

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// Colour says how much something matters, nothing else.
var styles = map[tone]lipgloss.Style{
	plain: lipgloss.NewStyle(),
	faint: lipgloss.NewStyle().Faint(true),
	good:  lipgloss.NewStyle().Foreground(lipgloss.Green),
	warn:  lipgloss.NewStyle().Foreground(lipgloss.Yellow),
	bad:   lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true),
}

var headStyle = lipgloss.NewStyle().Bold(true).Underline(true)

// gutter is the space between two columns.
const gutter = "  "

// draw writes the rows from first on, at most so many, in lines of at most width cells.
// The columns are as wide as what all rows have, so that they stay where they are
// while one scrolls.
func (t *table) draw(first, rows, width int, styled bool) []string {
	widths := make([]int, len(t.titles))
	for j, title := range t.titles {
		widths[j] = lipgloss.Width(title)
	}
	for _, row := range t.rows {
		for j := range row {
			widths[j] = max(widths[j], lipgloss.Width(row[j].text))
		}
	}
	head := make([]cell, len(t.titles))
	for j, title := range t.titles {
		head[j] = cell{text: title}
	}
	lines := []string{t.line(head, widths, width, func(text string, _ tone) string {
		if !styled {
			return text
		}
		return headStyle.Render(text)
	})}
	last := min(len(t.rows), first+rows)
	for i := min(first, last); i < last; i++ {
		lines = append(lines, t.line(t.rows[i], widths, width, func(text string, tone tone) string {
			if !styled {
				return text
			}
			return styles[tone].Render(text)
		}))
	}
	return lines
}

// line lays out cells and cuts what does not fit; width 0 is as wide as it gets.
func (t *table) line(cells []cell, widths []int, width int, style func(string, tone) string) string {
	var b strings.Builder
	used := 0
	for j, c := range cells {
		room := widths[j]
		if j > 0 {
			room += len(gutter)
		}
		if width > 0 && used+room > width {
			if j > 0 {
				break
			}
			widths[j] = width
		}
		if j > 0 {
			b.WriteString(gutter)
		}
		used += room
		text := cut(c.text, widths[j])
		space := strings.Repeat(" ", widths[j]-lipgloss.Width(text))
		if !t.left[j] {
			b.WriteString(space)
		}
		b.WriteString(style(text, c.tone))
		if t.left[j] && j < len(cells)-1 {
			b.WriteString(space)
		}
	}
	return b.String()
}

// cut shortens a text to so many cells of a terminal.
func cut(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	for len(s) > 0 && lipgloss.Width(s) > width-1 {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	if width < 1 {
		return ""
	}
	return s + "…"
}
