// Command gen writes control.pb.go out of control.proto, without a protoc beside it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// Where the source is, seen from the package that is generated, and its name among all
// protobuf files of a program.
const (
	source = "control.proto"
	name   = "marketprism/control/v1/control.proto"
)

func main() {
	if err := generate(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// open finds the one source there is.
func open(path string) (io.ReadCloser, error) {
	if path != name {
		return nil, os.ErrNotExist
	}
	return os.Open(source)
}

func generate(ctx context.Context) error {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: open}, SourceInfoMode: protocompile.SourceInfoStandard}
	files, err := compiler.Compile(ctx, name)
	if err != nil {
		return fmt.Errorf("compiling: %w", err)
	}
	paths := "paths=source_relative"
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{name}, Parameter: &paths,
		ProtoFile: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])},
	})
	if err != nil {
		return fmt.Errorf("reading the descriptor: %w", err)
	}
	for _, f := range plugin.Files {
		internal_gengo.GenerateFile(plugin, f)
	}
	out := plugin.Response()
	if out.Error != nil {
		return fmt.Errorf("generating: %s", out.GetError())
	}
	for _, f := range out.GetFile() {
		if err := os.WriteFile(filepath.Base(f.GetName()), []byte(f.GetContent()), 0o644); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return nil
}
