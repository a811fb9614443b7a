package parsers

import (
	"bytes"
	"fmt"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Image is what a container of a Dockerfile's last stage is started with.
type Image struct {
	Base       string            `json:"base"` // of the last stage
	User       string            `json:"user"`
	Directory  string            `json:"directory"`
	Entrypoint []string          `json:"entrypoint"`
	Command    []string          `json:"command"`
	Health     []string          `json:"health"` // CMD and its arguments
	StopSignal string            `json:"stop_signal"`
	Env        map[string]string `json:"env"`
	Volumes    []string          `json:"volumes"`
}

// Stages parses a Dockerfile as BuildKit does.
func Stages(text []byte) ([]instructions.Stage, error) {
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parsing the Dockerfile: %w", err)
	}
	stages, _, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("parsing the Dockerfile: %w", err)
	}
	return stages, nil
}

// ImageOf is the image of a Dockerfile that spells everything out: variables in it are not
// filled in, and nothing is taken from a base.
func ImageOf(text []byte) (Image, error) {
	stages, err := Stages(text)
	if err != nil {
		return Image{}, err
	}
	last := stages[len(stages)-1]
	image := Image{Base: last.BaseName, Env: map[string]string{}}
	for _, c := range last.Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			image.User = c.User
		case *instructions.WorkdirCommand:
			image.Directory = c.Path
		case *instructions.EntrypointCommand:
			image.Entrypoint = c.CmdLine
		case *instructions.CmdCommand:
			image.Command = c.CmdLine
		case *instructions.HealthCheckCommand:
			image.Health = c.Health.Test
		case *instructions.StopSignalCommand:
			image.StopSignal = c.Signal
		case *instructions.VolumeCommand:
			image.Volumes = c.Volumes
		case *instructions.EnvCommand:
			for _, v := range c.Env {
				image.Env[v.Key] = v.Value
			}
		}
	}
	return image, nil
}
