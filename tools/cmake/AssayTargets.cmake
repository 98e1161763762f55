# The three kinds of target this project has. A folder's CMakeLists.txt names its files and what it
# leans on; everything else (flags, discovery, labels) is decided here once.
include(GoogleTest)

# Everything generated hangs on this target, so that clang-tidy can parse without a full build.
add_custom_target(assay_generated)
# The test programs with label `threads`: all that the thread sanitizer's build needs.
add_custom_target(assay_threaded_tests)

# assay_library(NAME SOURCES a.cpp ... [LINK lib ...])
# Without sources the library is header-only.
function(assay_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC assay_flags ${arg_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE assay_flags ${arg_LINK})
  endif()
endfunction()

# assay_tests(NAME SOURCES a_test.cpp ... [LINK lib ...] [LABELS ...] [TIMEOUT s] [RAPIDCHECK])
# Every TEST becomes one ctest entry; GTEST_SKIP shows as "Skipped", never as passed.
# RapidCheck runs with a fixed seed, so that CI is the same every time; RC_PARAMS overrides it by hand.
function(assay_tests name)
  if(NOT ASSAY_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "RAPIDCHECK" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE assay_flags ${arg_LINK} GTest::gtest GTest::gtest_main)
  if(arg_RAPIDCHECK)
    target_link_libraries(${name} PRIVATE rapidcheck rapidcheck_gtest)
  endif()
  if("threads" IN_LIST arg_LABELS)
    add_dependencies(assay_threaded_tests ${name})
  endif()
  # The folder is always a label, so that `ctest -L sim` runs a room.
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REGEX REPLACE "/.*" "" room ${folder})
  list(APPEND arg_LABELS ${room})
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 120
    PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "RC_PARAMS=seed=1")
endfunction()

# assay_benchmark(NAME SOURCES a_bench.cpp ... [LINK lib ...])
function(assay_benchmark name)
  if(NOT ASSAY_BENCHMARKS)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE assay_flags ${arg_LINK} benchmark::benchmark benchmark::benchmark_main)
endfunction()
