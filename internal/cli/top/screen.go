package top

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// Screen is what a terminal shows: a bubbletea.Model, which gets each Update as a
// message.
type Screen struct {
	// Place is where the figures come from, for the first line.
	Place string
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	view    View
	choices [2]choice // by view
	offset  [2]int    // first row shown
	picture *Picture
	came    time.Time // when the picture did
	lost    error
	held    bool // nothing new is shown
	typing  bool // of a filter
	width   int
	height  int
}

// NewScreen begins with one view, sorted by one of its columns.
func NewScreen(place string, view View, sort int) *Screen {
	s := &Screen{Place: place, view: view, width: 80, height: 24}
	s.choices[view].sort = sort
	return s
}

// tick lets the age of the picture grow where none comes.
type tick time.Time

func again() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tick(t) }) }

// Init is part of bubbletea.Model.
func (s *Screen) Init() tea.Cmd { return again() }

// Update is part of bubbletea.Model.
func (s *Screen) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case tick:
		return s, again()
	case Update:
		s.lost = m.Lost
		if m.Picture != nil && !s.held {
			s.picture, s.came = m.Picture, s.now()
		}
	case tea.KeyPressMsg:
		if s.typing {
			s.typed(m)
			return s, nil
		}
		return s, s.key(m.String())
	}
	return s, nil
}

func (s *Screen) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// typed changes the filter.
func (s *Screen) typed(m tea.KeyPressMsg) {
	c := &s.choices[s.view]
	switch m.String() {
	case "enter":
		s.typing = false
	case "esc", "ctrl+c":
		s.typing, c.filter = false, ""
	case "backspace":
		if r := []rune(c.filter); len(r) > 0 {
			c.filter = string(r[:len(r)-1])
		}
	default:
		c.filter += m.Text
	}
	s.offset[s.view] = 0
}

func (s *Screen) key(name string) tea.Cmd {
	c, offset := &s.choices[s.view], &s.offset[s.view]
	columns := len(SortColumns(s.view))
	switch name {
	case "q", "ctrl+c":
		return tea.Quit
	case "tab":
		s.view = 1 - s.view
	case "1":
		s.view = Streams
	case "2":
		s.view = Actors
	case "s", "right":
		c.sort = (c.sort + 1) % columns
	case "S", "left":
		c.sort = (c.sort + columns - 1) % columns
	case "r":
		c.reverse = !c.reverse
	case "/":
		s.typing = true
	case "esc":
		c.filter = ""
	case "p", "space":
		s.held = !s.held
	case "up", "k":
		*offset--
	case "down", "j":
		*offset++
	case "pgup":
		*offset -= s.rows()
	case "pgdown":
		*offset += s.rows()
	case "home", "g":
		*offset = 0
	case "end", "G":
		*offset = 1 << 30
	}
	return nil
}

// rows is how many fit: above them are two lines, the services and the titles, below
// them the keys.
func (s *Screen) rows() int { return max(1, s.height-5) }

// View is part of bubbletea.Model.
func (s *Screen) View() tea.View {
	v := tea.NewView(s.text())
	v.AltScreen = true
	v.WindowTitle = "marketprism top"
	return v
}

func (s *Screen) text() string {
	if s.picture == nil {
		return s.headline() + "\n\n" + styles[faint].Render("waiting for the first figures")
	}
	t := s.picture.tableOf(s.view, s.choices[s.view])
	offset := &s.offset[s.view]
	*offset = max(0, min(*offset, len(t.rows)-s.rows()))
	lines := []string{s.headline(), s.services(), s.tabs(len(t.rows))}
	lines = append(lines, t.draw(*offset, s.rows(), s.width, true)...)
	for len(lines) < s.height-1 {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, s.foot()), "\n")
}

// headline says whose figures these are and how old.
func (s *Screen) headline() string {
	state := styles[good].Render("live")
	switch old := s.now().Sub(s.came); {
	case s.picture == nil && s.lost == nil:
		state = styles[warn].Render("connecting")
	case s.held:
		state = styles[warn].Render("held " + old.Round(time.Second).String())
	case s.lost != nil:
		state = styles[bad].Render(fmt.Sprintf("%s old: %v", old.Round(time.Second), s.lost))
	case old > 3*time.Second:
		state = styles[warn].Render(old.Round(time.Second).String() + " old")
	}
	return clip("marketprism top  "+s.Place+"  "+s.now().UTC().Format("15:04:05Z")+"  "+state, s.width)
}

// services names those that are not well, and what is firing.
func (s *Screen) services() string {
	var parts []string
	well := 0
	for _, one := range s.picture.Services {
		switch {
		case one.Status == "healthy" && !one.Degraded:
			well++
		case one.Status == "healthy":
			parts = append(parts, styles[warn].Render(one.Name+" degraded"))
		default:
			parts = append(parts, styles[bad].Render(strings.TrimSpace(one.Name+" "+one.Status+" "+firstLine(one.Error))))
		}
	}
	parts = append([]string{fmt.Sprintf("%d of %d services well", well, len(s.picture.Services))}, parts...)
	if n := s.picture.Alerts; n > 0 {
		parts = append(parts, styles[bad].Render(fmt.Sprintf("%d alerts", n)))
	}
	for _, topic := range []string{topicStreams, topicActors, topicServices} {
		if why := s.picture.Errors[topic]; why != "" {
			parts = append(parts, styles[warn].Render(topic+": "+firstLine(why)))
		}
	}
	return clip(strings.Join(parts, " · "), s.width)
}

func (s *Screen) tabs(rows int) string {
	c := s.choices[s.view]
	names := []string{
		Streams: fmt.Sprintf("1 streams %d", len(s.picture.Streams)),
		Actors:  fmt.Sprintf("2 actors %d", len(s.picture.Actors)),
	}
	for v := range names {
		if View(v) == s.view {
			names[v] = lipgloss.NewStyle().Reverse(true).Render(" " + names[v] + " ")
		} else {
			names[v] = " " + names[v] + " "
		}
	}
	columns := SortColumns(s.view)
	order := "by " + columns[min(c.sort, len(columns)-1)]
	if c.reverse {
		order += ", reversed"
	}
	line := strings.Join(names, "") + "  " + styles[faint].Render(order)
	if c.filter != "" || s.typing {
		cursor := ""
		if s.typing {
			cursor = "▏"
		}
		line += fmt.Sprintf("  /%s%s  %d shown", c.filter, cursor, rows)
	}
	return clip(line, s.width)
}

func (s *Screen) foot() string {
	keys := "tab table · s S sort · r reverse · / filter · p hold · ↑↓ pgup pgdn · q quit"
	if s.typing {
		keys = "enter keep · esc clear"
	}
	return styles[faint].Render(clip(keys, s.width))
}

// clip keeps a styled line within the screen.
func clip(line string, width int) string {
	return lipgloss.NewStyle().MaxWidth(cmp.Or(width, 80)).Render(line)
}
