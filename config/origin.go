package config

import "fmt"

// Source says which of the layers a value came from; later ones win.
type Source int

// The layers, in order.
const (
	SourceDefault     Source = iota // built into the program
	SourceFile                      // services.yaml or exchanges/<exchange>.yaml
	SourceDotEnv                    // .env.<environment>
	SourceEnvironment               // a variable of the process
	SourceFlag                      // the command line
	SourceRuntime                   // decided by the command itself, such as dev's port offset
)

// String returns the layer's name as `config show --origin` and /config print it.
func (s Source) String() string {
	return [...]string{"default", "file", "dotenv", "environment", "flag", "runtime"}[s]
}

// Origin is the place where a value was given.
type Origin struct {
	Source Source
	File   string // path of the file, for defaults of an exchange and SourceFile and SourceDotEnv
	Line   int    // from 1; 0 when there is none
	Column int    // from 1; 0 when there is none
	Name   string // variable or flag, for SourceDotEnv, SourceEnvironment and SourceFlag
}

// String returns file:line:column where there is a file, else the name that a
// user would look for.
func (o Origin) String() string {
	place := o.File
	if o.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, o.Line)
	}
	if o.Column > 0 {
		place = fmt.Sprintf("%s:%d", place, o.Column)
	}
	switch {
	case o.Source == SourceDefault && place != "":
		return "default (" + place + ")"
	case o.Source == SourceDotEnv:
		return place + ": " + o.Name
	case o.Source == SourceEnvironment:
		return "env " + o.Name
	case o.Source == SourceFlag:
		return "flag --" + o.Name
	case o.Source == SourceRuntime && o.Name != "":
		return "runtime (" + o.Name + ")"
	case place != "":
		return place
	default:
		return o.Source.String()
	}
}

// isVariable reports whether the value was given by a variable, whose name
// spells the path in its own way.
func (o Origin) isVariable() bool {
	return o.Source == SourceDotEnv || o.Source == SourceEnvironment
}
