package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/marketprism/marketprism/cluster/wire"
)

var freeze = flag.Bool("freeze", false, "write the bytes of messages and fields that no file of testdata has, as another file")

// full is a message with every field set, to values that say which field they are of. Of
// a oneof it has the field of that index.
func full(d protoreflect.MessageDescriptor, choice int) proto.Message {
	m := messageType(d).New()
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if one := f.ContainingOneof(); one != nil && one.Fields().Get(choice%one.Fields().Len()) != f {
			continue
		}
		m.Set(f, valueOf(m, f, choice))
	}
	return m.Interface()
}

func messageType(d protoreflect.MessageDescriptor) protoreflect.MessageType {
	for _, m := range []proto.Message{
		&wire.Call{}, &wire.Reply{}, &wire.Refusal{}, &wire.Done{}, &wire.NodeQuestion{}, &wire.NodeAnswer{}, &wire.TreeQuestion{},
		&wire.ActorQuestion{}, &wire.Document{}, &wire.Operation{}, &wire.Activation{},
		&wire.Activated{}, &wire.BookQuestion{}, &wire.BookAnswer{}, &wire.Resync{},
	} {
		if m.ProtoReflect().Descriptor() == d {
			return m.ProtoReflect().Type()
		}
	}
	panic(fmt.Sprintf("%s has to be added to the test", d.FullName()))
}

func valueOf(m protoreflect.Message, f protoreflect.FieldDescriptor, choice int) protoreflect.Value {
	if f.IsList() {
		l := m.NewField(f).List()
		l.Append(protoreflect.ValueOfString(string(f.Name()) + " 1"))
		l.Append(protoreflect.ValueOfString(string(f.Name()) + " 2"))
		return protoreflect.ValueOfList(l)
	}
	n := int64(f.Number())
	switch f.Kind() {
	case protoreflect.MessageKind:
		return protoreflect.ValueOfMessage(full(f.Message(), choice).ProtoReflect())
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(f.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.Name()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n) << 20)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n) << 40)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(-n << 40)
	default:
		panic(fmt.Sprintf("%s has a kind that the test does not know: %s", f.FullName(), f.Kind()))
	}
}

// frozen are lines of testdata: a message's name, its bytes, and what they mean.
type frozen struct{ name, bytes, meaning string }

func (f frozen) String() string { return f.name + "\t" + f.bytes + "\t" + f.meaning }

func read(t *testing.T) (all []frozen, files int) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			parts := strings.SplitN(strings.TrimSpace(line), "\t", 3)
			if len(parts) != 3 {
				t.Fatalf("%s: %q", path, line)
			}
			all = append(all, frozen{parts[0], parts[1], parts[2]})
		}
	}
	return all, len(paths)
}

// meaning is a message as JSON, in one form.
func meaning(t *testing.T, m proto.Message) string {
	t.Helper()
	text, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer // protojson varies its spaces
	if err := json.Compact(&compact, text); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

// today are all messages of this version, with every field of theirs.
func today(t *testing.T) (all []frozen) {
	t.Helper()
	messages := wire.File_marketprism_control_v1_control_proto.Messages()
	for i := range messages.Len() {
		d := messages.Get(i)
		choices := 1
		for k := range d.Oneofs().Len() {
			choices = max(choices, d.Oneofs().Get(k).Fields().Len())
		}
		for choice := range choices {
			m := full(d, choice)
			text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, frozen{string(d.Name()), hex.EncodeToString(text), meaning(t, m)})
		}
	}
	return all
}

func TestFrozenBytesMeanTheSame(t *testing.T) {
	all, files := read(t)
	if *freeze {
		var fresh []string
		for _, f := range today(t) {
			if !slices.Contains(all, f) {
				fresh = append(fresh, f.String())
			}
		}
		if len(fresh) > 0 {
			name := fmt.Sprintf("testdata/%d.golden", files+1)
			if err := os.WriteFile(name, []byte(strings.Join(fresh, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		all, _ = read(t)
	}
	if len(all) == 0 {
		t.Fatal("testdata is empty")
	}
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			d := wire.File_marketprism_control_v1_control_proto.Messages().ByName(protoreflect.Name(f.name))
			if d == nil {
				t.Fatal("there is no such message any more: nodes of the version before send it")
			}
			raw, err := hex.DecodeString(f.bytes)
			if err != nil {
				t.Fatal(err)
			}
			m := messageType(d).New().Interface()
			if err := proto.Unmarshal(raw, m); err != nil {
				t.Fatal(err)
			}
			if got := meaning(t, m); got != f.meaning {
				t.Errorf("the bytes meant\n%s\nand now mean\n%s", f.meaning, got)
			}
			again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil || !bytes.Equal(again, raw) {
				t.Errorf("written again: %x, %v, want %x", again, err, raw)
			}
		})
	}
}

func TestEveryFieldIsFrozen(t *testing.T) {
	all, _ := read(t)
	for _, f := range today(t) {
		if !slices.Contains(all, f) {
			t.Errorf("%s has something new: keep its bytes with `go test ./cluster/wire -freeze`\n%s", f.name, f.meaning)
		}
	}
}

func TestUnknownFieldsStay(t *testing.T) {
	const number = 4000
	for _, f := range today(t) {
		raw, err := hex.DecodeString(f.bytes)
		if err != nil {
			t.Fatal(err)
		}
		raw = protowire.AppendTag(raw, number, protowire.BytesType)
		raw = protowire.AppendString(raw, "of a later version")
		m := messageType(wire.File_marketprism_control_v1_control_proto.Messages().ByName(protoreflect.Name(f.name))).New().Interface()
		if err := proto.Unmarshal(raw, m); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		again, err := proto.Marshal(m)
		if err != nil || !bytes.Contains(again, []byte("of a later version")) {
			t.Errorf("%s lost a field that it does not know: %x, %v", f.name, again, err)
		}
	}
}

// A question of a later version is one of no kind, and is answered as such.
func TestLaterQuestionIsNone(t *testing.T) {
	raw := protowire.AppendTag(nil, 4001, protowire.BytesType)
	raw = protowire.AppendBytes(raw, []byte{})
	var c wire.Call
	if err := proto.Unmarshal(raw, &c); err != nil || c.GetQuestion() != nil {
		t.Errorf("got %v, %v", c.GetQuestion(), err)
	}
}

// Values 0 mean that nothing was said, and nothing that is said.
func TestZeroIsNotSaid(t *testing.T) {
	enums := wire.File_marketprism_control_v1_control_proto.Enums()
	for i := range enums.Len() {
		if name := string(enums.Get(i).Values().ByNumber(0).Name()); !strings.HasSuffix(name, "_UNSPECIFIED") {
			t.Errorf("%s is 0", name)
		}
	}
}

func FuzzCall(f *testing.F) {
	f.Add([]byte{})
	for _, text := range []string{"0a04", "5200", "0a0130"} {
		raw, _ := hex.DecodeString(text)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c wire.Call
		if proto.Unmarshal(raw, &c) != nil {
			return
		}
		again, err := proto.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		var second wire.Call
		if err := proto.Unmarshal(again, &second); err != nil || !proto.Equal(&c, &second) {
			t.Errorf("%x became %x: %v", raw, again, err)
		}
	})
}
