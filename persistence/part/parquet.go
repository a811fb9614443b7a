package part

import (
	"reflect"

	"github.com/parquet-go/parquet-go"
)

// role is what one Parquet column holds of its field.
type role uint8

const (
	roleMicros role = iota
	roleNanos
	roleExchange
	roleMarket
	roleSymbol
	roleNative
	roleTime
	roleInt
	roleDouble
	roleScale
	roleExact
	roleID
	roleWord
	roleEnum
	roleBool
	roleLevels
	roleBest
	roleFlags
)

// leaf is one Parquet column.
type leaf struct {
	name     string
	col      int // index in Schema.Columns
	role     role
	optional bool
	// bounded columns have minima and maxima in the page index.
	bounded bool
	node    parquet.Node
}

// orderedGroup is a group whose fields keep their order; parquet.Group sorts them.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g *orderedGroup) Fields() []parquet.Field { return g.fields }

type namedNode struct {
	parquet.Node
	name string
}

func (n *namedNode) Name() string { return n.name }

func (n *namedNode) Value(base reflect.Value) reflect.Value {
	return base.MapIndex(reflect.ValueOf(n.name))
}

// buildParquet lays the columns out. Encodings were chosen by measuring on
// captured trades: deltas where neighbours are close, dictionaries where few
// values repeat; numbers plain, because zstd finds prices and amounts that come
// again, which splitting their bytes would hide.
func (s *Schema) buildParquet() {
	add := func(name string, col int, r role, node parquet.Node, bounded bool) {
		s.leaves = append(s.leaves, leaf{
			name: name, col: col, role: r, optional: node.Optional(), bounded: bounded, node: parquet.Compressed(node, &parquet.Zstd),
		})
	}
	for i := range s.Columns {
		c := &s.Columns[i]
		c.leaf = len(s.leaves)
		switch c.class {
		case classTS:
			add("ts", i, roleMicros, parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked), true)
			add("ts_ns", i, roleNanos, parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked), true)
		case classInstrument:
			add("exchange", i, roleExchange, dictionary(parquet.String()), true)
			add("market", i, roleMarket, dictionary(parquet.String()), true)
			add("symbol", i, roleSymbol, dictionary(parquet.String()), true)
			add("native_symbol", i, roleNative, dictionary(parquet.String()), true)
		case classTime:
			add(c.Name, i, roleTime, parquet.Optional(parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)), true)
		case classInt:
			add(c.Name, i, roleInt, parquet.Optional(parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)), true)
		case classDecimal:
			add(c.Name, i, roleDouble, parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.Plain)), true)
			add(c.Name+"_scale", i, roleScale, parquet.Optional(dictionary(parquet.Int(32))), false)
			add(c.Name+"_exact", i, roleExact, parquet.Optional(parquet.Encoded(parquet.String(), &parquet.DeltaLengthByteArray)), false)
		case classID:
			add(c.Name, i, roleID, parquet.Optional(parquet.Encoded(parquet.String(), &parquet.DeltaByteArray)), false)
		case classWord:
			add(c.Name, i, roleWord, parquet.Optional(dictionary(parquet.String())), true)
		case classEnum:
			add(c.Name, i, roleEnum, dictionary(parquet.String()), true)
		case classBool:
			add(c.Name, i, roleBool, parquet.Leaf(parquet.BooleanType), true)
		case classLevels:
			add(c.Name, i, roleLevels, parquet.Encoded(parquet.String(), &parquet.DeltaLengthByteArray), false)
			add(BestColumn(c.Name), i, roleBest, parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.Plain)), true)
		case classFlags:
			add(c.Name, i, roleFlags, dictionary(parquet.Int(32)), true)
		}
	}
	s.parquet = s.parquetOf(s.allLeaves())
}

// allLeaves are the indexes of all Parquet columns.
func (s *Schema) allLeaves() []int {
	all := make([]int, len(s.leaves))
	for i := range all {
		all[i] = i
	}
	return all
}

// parquetOf is the Parquet schema of some of the leaves.
func (s *Schema) parquetOf(leaves []int) *parquet.Schema {
	g := &orderedGroup{Group: parquet.Group{}}
	for _, i := range leaves {
		l := &s.leaves[i]
		g.Group[l.name] = l.node
		g.fields = append(g.fields, &namedNode{l.node, l.name})
	}
	return parquet.NewSchema(s.Kind.Table(), g)
}

func dictionary(node parquet.Node) parquet.Node {
	return parquet.Encoded(node, &parquet.RLEDictionary)
}

// leafOf returns the index of a field's Parquet column by role.
func (s *Schema) leafOf(col int, r role) int {
	for i := s.Columns[col].leaf; i < len(s.leaves) && s.leaves[i].col == col; i++ {
		if s.leaves[i].role == r {
			return i
		}
	}
	return -1
}
