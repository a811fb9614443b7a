package documents

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// usage is what the program says of one of its commands.
type usage struct {
	flags  map[string]bool // --name and -n, those of the program too
	listed string          // the lines of its own flags
	below  map[string]*usage
}

var (
	flagLine = regexp.MustCompile(`(?m)^ +(?:(-\w), |    )(--[a-z][a-z-]*)`)
	belowOne = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) +\S`)
)

// usageOf asks the program, command by command.
func usageOf(t *testing.T, words ...string) *usage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), harness.Program(t), append(words, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", words, err, out)
	}
	text := string(out)
	u := &usage{flags: map[string]bool{}, below: map[string]*usage{}}
	for _, m := range flagLine.FindAllStringSubmatch(text, -1) {
		u.flags[m[2]] = true
		if m[1] != "" {
			u.flags[m[1]] = true
		}
	}
	_, rest, _ := strings.Cut(text, "\nFlags:\n")
	u.listed, _, _ = strings.Cut(rest, "\n\n")
	if _, rest, ok := strings.Cut(text, "\nAvailable Commands:\n"); ok {
		list, _, _ := strings.Cut(rest, "\n\n")
		for _, m := range belowOne.FindAllStringSubmatch(list, -1) {
			if m[1] != "help" && (len(words) == 0 || words[0] != "completion") {
				u.below[m[1]] = usageOf(t, append(slices.Clone(words), m[1])...)
			}
		}
	}
	return u
}

var (
	called = regexp.MustCompile("(?:^|[\\s(\"'])(?:\\./|\\.\\./bin/|/usr/local/bin/)?marketprism ([^`]*)")
	ending = regexp.MustCompile(`\s(?:#|\||>|2>|&|;).*$`)
	flag1  = regexp.MustCompile(`(?:^|[\s\[])(--?[a-z][a-z-]*)`)
	word   = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// TestFlags: the commands that the documents name, and the flags that they give them,
// exist; and every command is on the page of the commands.
func TestFlags(t *testing.T) {
	root := usageOf(t)
	for _, d := range documents(t) {
		for _, line := range d.snippets() {
			if strings.Contains(line, "-n marketprism") { // a name space
				continue
			}
			m := called.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if problem := root.misses(ending.ReplaceAllString(m[1], "")); problem != "" {
				t.Errorf("%s: %s: %s", d.title(), strings.TrimSpace(line), problem)
			}
		}
	}
	page := shownPage(t, "docs/commands.md")
	root.each("", func(name string) {
		if !strings.Contains(page, "marketprism "+name) && !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "\n## "+name+"\n") {
			t.Errorf("docs/commands.md says nothing of %s", name)
		}
	})
	if root.misses("archive --colour") == "" || root.misses("archiv") == "" || root.misses("config chek") == "" {
		t.Error("what there is not is found")
	}
}

// misses says what of a command line there is not; "" for nothing.
func (u *usage) misses(line string) string {
	rest := strings.Fields(strings.NewReplacer("[", " [", "]", " ").Replace(line))
	at := u
	for len(rest) > 0 {
		next, ok := at.below[rest[0]]
		if !ok {
			if len(at.below) > 0 && word.MatchString(rest[0]) && (at == u || !at.own()) {
				return "there is no command " + rest[0]
			}
			break
		}
		at, rest = next, rest[1:]
	}
	for _, m := range flag1.FindAllStringSubmatch(" "+strings.Join(rest, " "), -1) {
		if !at.flags[m[1]] {
			return "there is no flag " + m[1]
		}
	}
	return ""
}

// own reports whether a command with others below does something itself.
func (u *usage) own() bool { return strings.Count(u.listed, "--") > 1 }

// each goes through the commands, with their names.
func (u *usage) each(name string, do func(name string)) {
	for word, below := range u.below {
		full := strings.TrimSpace(name + " " + word)
		do(full)
		below.each(full, do)
	}
}

var listing = regexp.MustCompile(`(?ms)^## ([a-z]+)$(.*?)(?:^## |\z)`)

// TestFlagLists: where the page of the commands lists the flags of one, they are those
// that it says itself.
func TestFlagLists(t *testing.T) {
	root, lists := usageOf(t), 0
	text := shownPage(t, "docs/commands.md")
	for len(text) > 0 {
		m := listing.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		name, section := text[m[2]:m[3]], text[m[4]:m[5]]
		text = text[m[5]:]
		for _, f := range fenced.FindAllStringSubmatch(section, -1) {
			if !flagLine.MatchString(f[2]) {
				continue
			}
			lists++
			said := root.below[name]
			if said == nil {
				t.Errorf("there is no command %s", name)
				continue
			}
			if got, want := plain(f[2]), plain(said.listed); got != want {
				t.Errorf("of %s the page lists\n%s\nand it says itself\n%s", name, got, want)
			}
		}
	}
	if lists < 5 {
		t.Errorf("only %d lists", lists)
	}
}

// plain is a list of flags without its layout, and without --help.
func plain(list string) string {
	var lines []string
	for line := range strings.Lines(list) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.HasPrefix(line, "-h, --help") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
