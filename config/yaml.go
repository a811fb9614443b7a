package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits that keep a hostile or broken file from costing more than its bytes:
// aliases can nest and multiply.
const (
	maxDepth = 32
	maxNodes = 100_000
)

// form is the shape that a value was written in.
type form int

const (
	formNull form = iota
	formBool
	formInteger
	formFloat
	formString
	formPlain // text of a variable or a flag: its type is its target's
	formList
	formMap
)

// value is one node of a source, with its place.
type value struct {
	form    form
	text    string  // of a scalar
	items   []value // of a list
	entries []entry // of a map
	at      Origin
}

type entry struct {
	key   string
	at    Origin
	value value
}

// describe says what was found, for an error message.
func (v value) describe() string {
	switch v.form {
	case formNull:
		return "nothing"
	case formList:
		return "a list"
	case formMap:
		return "a map"
	case formString, formPlain:
		return fmt.Sprintf("%q", shorten(v.text))
	default:
		return shorten(v.text)
	}
}

func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// parseYAML reads one document into a value, with the place of every node.
// base gives the source and the file.
func parseYAML(text []byte, base Origin) (value, Errors) {
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return value{}, Errors{syntaxError(err, base)}
	}
	r := reader{base: base, anchors: map[string]ast.Node{}}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return value{form: formNull, at: base}, nil
	case 1:
		v := r.value(bodies[0], 0)
		return v, r.errs
	default:
		return value{}, Errors{{At: r.at(firstToken(bodies[1])), Problem: "a second YAML document", Allowed: "one document a file"}}
	}
}

func syntaxError(err error, base Origin) Error {
	e := Error{At: base, Problem: err.Error()}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		e.Problem = "not valid YAML: " + syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			e.At.Line, e.At.Column = syntax.Token.Position.Line, syntax.Token.Position.Column
		}
	}
	return e
}

// reader turns the syntax tree into values: it resolves anchors, aliases and
// merge keys, and refuses what a settings file has no use for.
type reader struct {
	base    Origin
	anchors map[string]ast.Node
	nodes   int
	errs    Errors
}

func (r *reader) at(tk *token.Token) Origin {
	o := r.base
	if tk != nil && tk.Position != nil {
		o.Line, o.Column = tk.Position.Line, tk.Position.Column
	}
	return o
}

func (r *reader) fail(tk *token.Token, problem, allowed string) value {
	r.errs = append(r.errs, Error{At: r.at(tk), Problem: problem, Allowed: allowed})
	return value{form: formNull, at: r.at(tk)}
}

func (r *reader) value(node ast.Node, depth int) value {
	tk := firstToken(node)
	r.nodes++
	if depth > maxDepth || r.nodes > maxNodes {
		if r.nodes <= maxNodes || r.nodes == maxNodes+1 {
			return r.fail(tk, "nested or repeated too much", fmt.Sprintf("%d levels, %d values", maxDepth, maxNodes))
		}
		return value{form: formNull, at: r.at(tk)}
	}
	scalar := func(f form, text string) value { return value{form: f, text: text, at: r.at(tk)} }
	switch n := node.(type) {
	case *ast.NullNode:
		return scalar(formNull, "")
	case *ast.BoolNode:
		return scalar(formBool, fmt.Sprint(n.Value))
	case *ast.IntegerNode:
		return scalar(formInteger, fmt.Sprint(n.Value))
	case *ast.FloatNode:
		return scalar(formFloat, strings.TrimSpace(tk.Value))
	case *ast.InfinityNode, *ast.NanNode:
		return scalar(formFloat, strings.TrimSpace(tk.Value))
	case *ast.StringNode:
		return scalar(formString, n.Value)
	case *ast.LiteralNode:
		return scalar(formString, n.Value.Value)
	case *ast.SequenceNode:
		v := value{form: formList, at: r.at(tk)}
		for _, item := range n.Values {
			v.items = append(v.items, r.value(item, depth+1))
		}
		return v
	case *ast.MappingNode:
		return r.mapping(n.Values, tk, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, tk, depth)
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.value(n.Value, depth)
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, ok := r.anchors[name]
		if !ok {
			return r.fail(tk, "no anchor &"+name+" before this alias", "")
		}
		return r.value(target, depth+1)
	case *ast.TagNode:
		return r.fail(tk, "the tag "+n.Start.Value, "plain values")
	default:
		return r.fail(tk, fmt.Sprintf("a YAML %s", node.Type()), "scalars, lists and maps")
	}
}

func (r *reader) mapping(pairs []*ast.MappingValueNode, tk *token.Token, depth int) value {
	v := value{form: formMap, at: r.at(tk)}
	seen := map[string]Origin{}
	var merged []entry
	for _, pair := range pairs {
		keyToken := pair.Key.GetToken()
		if pair.Key.IsMergeKey() {
			merged = append(merged, r.merge(pair.Value, depth)...)
			continue
		}
		key, ok := keyText(pair.Key)
		if !ok {
			r.fail(keyToken, "a key that is not a plain word", "")
			continue
		}
		if first, dup := seen[key]; dup {
			r.fail(keyToken, fmt.Sprintf("the key %s is given twice, first at line %d", key, first.Line), "")
			continue
		}
		seen[key] = r.at(keyToken)
		v.entries = append(v.entries, entry{key: key, at: r.at(keyToken), value: r.value(pair.Value, depth+1)})
	}
	for _, e := range merged { // the map's own keys win
		if _, own := seen[e.key]; !own {
			seen[e.key] = e.at
			v.entries = append(v.entries, e)
		}
	}
	return v
}

func (r *reader) merge(node ast.Node, depth int) []entry {
	v := r.value(node, depth+1)
	switch v.form {
	case formMap:
		return v.entries
	case formList:
		var all []entry
		for _, item := range v.items {
			all = append(all, item.entries...)
		}
		return all
	default:
		r.fail(node.GetToken(), "a merge of "+v.describe(), "an alias of a map")
		return nil
	}
}

// firstToken is where a node begins: the token of a block map is the colon of
// its first pair.
func firstToken(node ast.Node) *token.Token {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return node.GetToken()
}

func keyText(key ast.MapKeyNode) (string, bool) {
	switch n := key.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}
